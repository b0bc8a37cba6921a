"""The run that Azure ML started, through azureml-core: metrics sent once, tags and artifacts."""

import contextlib
import datetime
import io
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from azureml._restclient.models import BatchMetricV2Dto, MetricProperties, MetricV2Dto, MetricV2Value
from azureml.core import Run
from azureml.exceptions import AzureMLException
from requests import RequestException

from lightning_app.azureml import service_limits
from lightning_app.azureml.metric_value import MetricValue

os.environ.setdefault("AZUREML_DEFAULT_RETRIES", "0")  # this program's own tries are enough; read by the import below

log = logging.getLogger(__name__)

_SECONDS_TO_ANSWER = 20  # azureml-core waits for 100
_SURELY_NOT_TAKEN = {400, 401, 403, 404, 413, 429}


class DeliveryError(Exception):
    """A request didn't succeed, and is worth another try.

    ``retry_after`` is what the service asked for, in seconds; ``unconfirmed`` whether it may have been carried out;
    ``malformed`` whether the service finds fault with what it was sent, so that the same won't do better.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(_first_line(cause))
        response = getattr(cause, "response", None)
        status = getattr(response, "status_code", None)
        self.malformed = status in (400, 413)
        self.retry_after = _seconds(getattr(response, "headers", {}).get("Retry-After", ""))
        self.unconfirmed = status not in _SURELY_NOT_TAKEN and "NewConnectionError" not in repr(cause)


class AzureMLRun:
    """Attaches to the run that the environment tells of; never creates one.

    azureml-core's ``run.log`` can't say which values have arrived, and repeats requests by itself, which doubles
    values where an answer got lost. So this uses the layer below: one request, one answer.

    Raises:
        DeliveryError: The run can't be looked up now.
    """

    def __init__(self) -> None:
        with _as_delivery_error():
            self._run: Any = Run.get_context(allow_offline=False)
        self._metrics = self._run._client.metrics
        self._metrics.retries = 0  # this program's own, which asks the service first what it holds
        self._metrics._client.config.connection.timeout = _SECONDS_TO_ANSWER

    @property
    def run_id(self) -> str:
        found: str = self._run.id
        return found

    def post(self, values: Sequence[MetricValue]) -> dict[str, str]:
        """Sends values in one request and returns which names the service refused, each with its reason.

        Raises:
            DeliveryError: Nothing is known to have been stored.
        """
        batch = BatchMetricV2Dto(values=list(self._by_metric(values)), report_errors=True)
        with _as_delivery_error():
            answer = self._metrics._execute_with_workspace_run_arguments(
                self._metrics._client.metric.post_run_metrics, batch
            )
        refused = {error.metric.name: error.error_response.error.message for error in (answer.errors if answer else [])}
        return {value.name: refused[value.service_name] for value in values if value.service_name in refused}

    def metric_names(self) -> list[str]:
        """The names of all metrics that the service holds."""
        with _as_delivery_error():
            return list(self._metrics.list_metric_names_for_run_id())

    def held(self, service_names: Iterable[str]) -> set[str]:
        """The ids of all values that the service holds under these names."""
        found: set[str] = set()
        names = list(service_names)
        with _as_delivery_error():
            if names:
                self._metrics.wait_for_metrics_ingest(timeout_seconds=_SECONDS_TO_ANSWER)
            for name in names:
                metric = self._metrics.get_metric_dto_for_run_v2(name)
                found |= {value.metric_id for value in (metric.value if metric else [])}
        return found

    def tags(self) -> dict[str, str]:
        """All tags of the run, whoever set them."""
        with _as_delivery_error():
            return dict(self._run.get_tags() or {})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Adds tags or changes them."""
        with _as_delivery_error():
            self._run.set_tags(dict(tags))

    def address(self, path: str) -> str:
        """How a metric refers to the artifact of this path."""
        return f"aml://artifactId/ExperimentRun/{self._run._run_dto['data_container_id']}/{path}"

    def upload(self, path: str, content: bytes) -> None:
        """Stores an artifact; the service refuses a path that it has seen before."""
        with _as_delivery_error():
            self._run.upload_file(path, io.BytesIO(content))

    def _by_metric(self, values: Sequence[MetricValue]) -> Iterator[MetricV2Dto]:
        now = datetime.datetime.now(datetime.timezone.utc)
        groups: dict[str, list[MetricValue]] = {}
        for value in values:
            groups.setdefault(value.service_name, []).append(value)
        for service_name, group in groups.items():
            rows = [MetricV2Value(value.metric_id(self.run_id), now, value.step, value.data) for value in group]
            columns = {name: kind for value in group for name, kind in value.columns.items()}
            yield MetricV2Dto(
                name=service_name,
                columns=columns,
                value=rows,
                properties=MetricProperties(ux_metric_type=group[0].kind),
            )


@contextlib.contextmanager
def _as_delivery_error() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # azureml-core lets errors of four libraries through, and of its own code, too
        log.info("%s", error, exc_info=not isinstance(error, AzureMLException | RequestException))
        raise DeliveryError(error) from error


def _first_line(error: BaseException) -> str:
    code = getattr(getattr(error, "response", None), "status_code", None)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = getattr(error, "message", None) or (lines[0] if lines else type(error).__name__)
    return f"{code}: {text}" if code else str(text).splitlines()[0]


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0


class MetricSender:
    """Sends values that the service doesn't hold yet.

    Args:
        service: The run at the service.
        held: The ids of values that the service held before this run folder was begun.
    """

    def __init__(self, service: AzureMLRun, held: set[str]) -> None:
        self._service = service
        self._held = held

    def send(self, values: Sequence[MetricValue], *, unconfirmed: bool) -> dict[str, str]:
        """Returns which metrics the service refuses, by name with its reason.

        ``unconfirmed`` values may have been sent before, and the service is asked for them first.

        Raises:
            DeliveryError: Some of the values have not been sent, or may not have been.
        """
        missing = self.missing(values, unconfirmed=unconfirmed)
        refused: dict[str, str] = {}
        for start in range(0, len(missing), service_limits.ROWS):
            refused |= self._post(missing[start : start + service_limits.ROWS])
        return refused

    def missing(self, values: Sequence[MetricValue], *, unconfirmed: bool) -> list[MetricValue]:
        """Those of the values that the service doesn't hold.

        Raises:
            DeliveryError: The service can't be asked.
        """
        held = self._held
        if unconfirmed:
            held = held | self._service.held(dict.fromkeys(value.service_name for value in values))
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
