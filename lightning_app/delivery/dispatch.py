"""Values sent so that each arrives once."""

from collections.abc import Iterator, Sequence

from lightning_app.delivery import limits
from lightning_app.delivery.run_service import DeliveryError, RunService
from lightning_app.delivery.values import MetricValue


class Dispatch:
    """Sends values that the service doesn't hold yet.

    Args:
        service: The run at the service.
        held: The ids of values that the service held before this run folder was begun.
    """

    def __init__(self, service: RunService, held: set[str]) -> None:
        self._service = service
        self._held = held

    def send(self, values: Sequence[MetricValue], *, in_doubt: bool) -> dict[str, str]:
        """Returns which metrics the service refuses, by name with its reason.

        ``in_doubt`` values may have been sent before, and the service is asked for them first.

        Raises:
            DeliveryError: Some of the values have not been sent, or may not have been.
        """
        missing = self.missing(values, in_doubt=in_doubt)
        refused: dict[str, str] = {}
        for start in range(0, len(missing), limits.ROWS):
            refused |= self._post(missing[start : start + limits.ROWS])
        return refused

    def missing(self, values: Sequence[MetricValue], *, in_doubt: bool) -> list[MetricValue]:
        """Those of the values that the service doesn't hold.

        Raises:
            DeliveryError: The service can't be asked.
        """
        held = self._held
        if in_doubt:
            held = held | self._service.held(dict.fromkeys(value.spelling for value in values))
        return [value for value in values if value.metric_id(self._service.run_id) not in held]

    def _post(self, values: Sequence[MetricValue]) -> dict[str, str]:
        try:
            return self._service.post(values)
        except DeliveryError as error:
            if not error.malformed:
                raise
            metrics = list(_by_name(values))
            if len(metrics) == 1:
                return {values[0].name: str(error)}
            # one metric must not keep its neighbours from arriving
            return {name: reason for metric in metrics for name, reason in self._post(metric).items()}


def _by_name(values: Sequence[MetricValue]) -> Iterator[list[MetricValue]]:
    for name in dict.fromkeys(value.name for value in values):
        yield [value for value in values if value.name == name]
