"""The run that Azure ML started, through azureml-core: metrics sent once, tags and artifacts."""

import contextlib
import datetime
import io
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

os.environ.setdefault("AZUREML_DEFAULT_RETRIES", "0")  # this module retries by itself; read by the import below

from azureml._restclient.models import BatchMetricV2Dto, MetricProperties, MetricV2Dto, MetricV2Value
from azureml.core import Run
from azureml.exceptions import AzureMLException
from requests import RequestException

from lightning_app.azureml import service_limits
from lightning_app.azureml.metric_value import MetricValue

log = logging.getLogger(__name__)

_REQUEST_TIMEOUT = 20  # seconds; azureml-core's own is 100
_NOT_STORED = {400, 401, 403, 404, 413, 429}


class DeliveryError(Exception):
    """A request failed and can be retried.

    ``retry_after`` is the delay that the service asked for, in seconds; ``unconfirmed`` says whether the service may
    have handled the request; ``malformed`` whether it rejected the content, so that the same request would fail again.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(_first_line(cause))
        response = getattr(cause, "response", None)
        status = getattr(response, "status_code", None)
        self.malformed = status in (400, 413)
        self.retry_after = _seconds(getattr(response, "headers", {}).get("Retry-After", ""))
        self.unconfirmed = status not in _NOT_STORED and "NewConnectionError" not in repr(cause)


class AzureMLRun:
    """Attaches to the run that the environment names; never creates one.

    azureml-core's ``run.log`` doesn't report which values arrived, and it repeats requests, which stores values twice
    when a response was lost. So this class uses the layer below: one request, one response.

    Raises:
        DeliveryError: The run can't be looked up now.
    """

    def __init__(self) -> None:
        with _as_delivery_error():
            self._run: Any = Run.get_context(allow_offline=False)
        self._metrics = self._run._client.metrics
        self._metrics.retries = 0  # this module retries, after it has asked the service which values it has
        self._metrics._client.config.connection.timeout = _REQUEST_TIMEOUT

    @property
    def run_id(self) -> str:
        found: str = self._run.id
        return found

    def post(self, values: Sequence[MetricValue]) -> dict[str, str]:
        """Sends values in one request. Returns the names that the service refused, each with its reason.

        Raises:
            DeliveryError: Nothing is known to have been stored.
        """
        batch = BatchMetricV2Dto(values=list(self._by_metric(values)), report_errors=True)
        with _as_delivery_error():
            response = self._metrics._execute_with_workspace_run_arguments(
                self._metrics._client.metric.post_run_metrics, batch
            )
        refused = {
            error.metric.name: error.error_response.error.message for error in (response.errors if response else [])
        }
        return {value.name: refused[value.service_name] for value in values if value.service_name in refused}

    def metric_names(self) -> list[str]:
        """The names of all metrics that the service has."""
        with _as_delivery_error():
            return list(self._metrics.list_metric_names_for_run_id())

    def stored_ids(self, service_names: Iterable[str]) -> set[str]:
        """The ids of all values that the service has under these names."""
        found: set[str] = set()
        names = list(service_names)
        with _as_delivery_error():
            if names:
                self._metrics.wait_for_metrics_ingest(timeout_seconds=_REQUEST_TIMEOUT)
            for name in names:
                metric = self._metrics.get_metric_dto_for_run_v2(name)
                found |= {value.metric_id for value in (metric.value if metric else [])}
        return found

    def tags(self) -> dict[str, str]:
        """All tags of the run."""
        with _as_delivery_error():
            return dict(self._run.get_tags() or {})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Adds or replaces tags."""
        with _as_delivery_error():
            self._run.set_tags(dict(tags))

    def address(self, path: str) -> str:
        """The address by which a metric refers to an artifact."""
        return f"aml://artifactId/ExperimentRun/{self._run._run_dto['data_container_id']}/{path}"

    def upload(self, path: str, content: bytes) -> None:
        """Uploads an artifact; the service refuses a path that exists."""
        with _as_delivery_error():
            self._run.upload_file(path, io.BytesIO(content))

    def _by_metric(self, values: Sequence[MetricValue]) -> Iterator[MetricV2Dto]:
        now = datetime.datetime.now(datetime.timezone.utc)
        groups: dict[str, list[MetricValue]] = {}
        for value in values:
            groups.setdefault(value.service_name, []).append(value)
        for service_name, group in groups.items():
            rows = [
                MetricV2Value(value.metric_id(self.run_id), value.created or now, value.step, value.data)
                for value in group
            ]
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
    except Exception as error:  # azureml-core raises errors of four libraries, and its own
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
    """Sends the values that the service doesn't have yet.

    Args:
        service: The run at the service.
        stored: The ids of values that the service had before this run folder was created.
    """

    def __init__(self, service: AzureMLRun, stored: set[str]) -> None:
        self._service = service
        self._stored = stored

    def send(self, values: Sequence[MetricValue], *, unconfirmed: bool) -> dict[str, str]:
        """Sends values. Returns the names that the service refused, each with its reason.

        ``unconfirmed`` values may have been sent before, so the service is asked first which of them it has.

        Raises:
            DeliveryError: A request failed; some values may not have been stored.
        """
        missing = self.missing(values, unconfirmed=unconfirmed)
        refused: dict[str, str] = {}
        for start in range(0, len(missing), service_limits.ROWS):
            refused |= self._post(missing[start : start + service_limits.ROWS])
        return refused

    def missing(self, values: Sequence[MetricValue], *, unconfirmed: bool) -> list[MetricValue]:
        """The values that the service doesn't have.

        Raises:
            DeliveryError: The service doesn't respond.
        """
        stored = self._stored
        if unconfirmed:
            stored = stored | self._service.stored_ids(dict.fromkeys(value.service_name for value in values))
        return [value for value in values if value.metric_id(self._service.run_id) not in stored]

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
