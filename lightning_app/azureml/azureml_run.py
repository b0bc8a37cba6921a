"""The run that Azure ML started, through azureml-core: metrics sent once, tags and artifacts."""

import contextlib
import datetime
import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

os.environ.setdefault("AZUREML_DEFAULT_RETRIES", "0")  # this module retries by itself; read by the import below

from azureml._restclient.models import BatchMetricV2Dto, MetricProperties, MetricV2Dto, MetricV2Value
from azureml.core import Run
from azureml.exceptions import AzureMLException
from requests import RequestException

from lightning_app.azureml.metric_value import MetricValue
from lightning_app.azureml.service import Attempt, DeliveryError, delivery_error
from lightning_app.azureml.service_limits import AZURE_ML

log = logging.getLogger(__name__)

_REQUEST_TIMEOUT = 20  # seconds; azureml-core's own is 100


class AzureMLRun:
    """Attaches to the run that the environment names; never creates one.

    azureml-core's ``run.log`` doesn't report which values arrived, and it repeats requests, which stores values twice
    when a response was lost. So this class uses the layer below: one request, one response.

    Raises:
        DeliveryError: The run can't be looked up now.
    """

    limits = AZURE_ML
    is_of_one_folder = False

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

    def id_of(self, value: MetricValue) -> str:
        """The id with which the service stores the value."""
        return value.metric_id(self.run_id)

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

    def stored_before(self, attempt: Attempt) -> Callable[[MetricValue], bool]:
        """A value that is logged again has its former id."""
        stored = self.stored_ids(attempt.earlier_names)
        return lambda value: self.id_of(value) in stored

    def tags(self) -> dict[str, str]:
        """All tags of the run."""
        with _as_delivery_error():
            return dict(self._run.get_tags() or {})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Adds or replaces tags."""
        with _as_delivery_error():
            self._run.set_tags(dict(tags))

    def params(self) -> dict[str, str]:
        """There are none: hyperparameters are tags."""
        return {}

    def log_params(self, params: Mapping[str, str]) -> dict[str, str]:
        """Never called: the service takes none."""
        raise NotImplementedError

    def address(self, path: str) -> str:
        """The address by which a metric refers to an artifact."""
        return f"aml://artifactId/ExperimentRun/{self._run._run_dto['data_container_id']}/{path}"

    def upload(self, path: str, content: bytes) -> None:
        """Uploads an artifact; the service refuses a path that exists."""
        with _as_delivery_error():
            self._run.upload_file(path, io.BytesIO(content))

    def report_end(self) -> None:
        """Does nothing: the platform knows how the job stands."""

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
        raise _delivery_error(error) from error


def _delivery_error(cause: BaseException) -> DeliveryError:
    response = getattr(cause, "response", None)
    never_sent = "NewConnectionError" in repr(cause)
    headers = getattr(response, "headers", {})
    return delivery_error(_first_line(cause), getattr(response, "status_code", None), headers, never_sent=never_sent)


def _first_line(error: BaseException) -> str:
    code = getattr(getattr(error, "response", None), "status_code", None)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = getattr(error, "message", None) or (lines[0] if lines else type(error).__name__)
    return f"{code}: {text}" if code else str(text).splitlines()[0]
