"""Metric values, sent once."""

from collections.abc import Callable, Iterator, Sequence

from lightning_app.azureml.metric_value import MetricValue
from lightning_app.azureml.service import DeliveryError, Service


class MetricSender:
    """Sends the values that the service doesn't have yet.

    Args:
        service: The run at the service.
        was_stored: Whether the service had a value before this run folder was created.
    """

    def __init__(self, service: Service, was_stored: Callable[[MetricValue], bool]) -> None:
        self._service = service
        self._was_stored = was_stored

    def send(self, values: Sequence[MetricValue], *, unconfirmed: bool) -> dict[str, str]:
        """Sends values. Returns the names that the service refused, each with its reason.

        ``unconfirmed`` values may have been sent before, so the service is asked first which of them it has.

        Raises:
            DeliveryError: A request failed; some values may not have been stored.
        """
        missing = self.missing(values, unconfirmed=unconfirmed)
        refused: dict[str, str] = {}
        rows = self._service.limits.rows
        for start in range(0, len(missing), rows):
            refused |= self._post(missing[start : start + rows])
        return refused

    def missing(self, values: Sequence[MetricValue], *, unconfirmed: bool) -> list[MetricValue]:
        """The values that the service doesn't have.

        Raises:
            DeliveryError: The service doesn't respond.
        """
        names = dict.fromkeys(value.service_name for value in values) if unconfirmed else ()
        stored = self._service.stored_ids(names)
        return [value for value in values if self._service.id_of(value) not in stored and not self._was_stored(value)]

    def _post(self, values: Sequence[MetricValue]) -> dict[str, str]:
        try:
            return self._service.post(values)
        except DeliveryError as error:
            if not error.malformed:
                raise
            metrics = list(_by_name(values))
            if len(metrics) == 1:
                return {values[0].name: str(error)}
            # one malformed metric must not block the others
            return {name: reason for metric in metrics for name, reason in self._post(metric).items()}


def _by_name(values: Sequence[MetricValue]) -> Iterator[list[MetricValue]]:
    for name in dict.fromkeys(value.name for value in values):
        yield [value for value in values if value.name == name]
