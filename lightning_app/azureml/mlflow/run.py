"""A run at an MLflow server, or one of Azure ML by its MLflow interface."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lightning_app.azureml.metric_value import MetricValue
from lightning_app.azureml.mlflow.artifacts import ArtifactStore
from lightning_app.azureml.mlflow.created_run import report_status, require_created
from lightning_app.azureml.mlflow.earlier_values import EarlierValues, begin_generation
from lightning_app.azureml.mlflow.rest import NotFoundError, Rest
from lightning_app.azureml.plain_values import to_json_number
from lightning_app.azureml.service import Attempt, DeliveryError
from lightning_app.azureml.service_limits import AZURE_ML_BY_MLFLOW, MLFLOW, MLFLOW_LABELS_A_REQUEST
from lightning_app.run_folder import RunFolder

_PAGE = 10_000  # values of a history
_Place = tuple[str, int, int]
"""Name, step and time of a value."""


class MlflowRun:
    """Implements ``Service``.

    MLflow stores no ids. A value is known by its name, its step and its time in milliseconds, of which
    ``row_times`` gives no two rows the same.

    Args:
        rest: The interface.
        run_id: The run; None for that of the run folder, which is created if there is none.
        folder: The run folder.
    """

    def __init__(self, rest: Rest, run_id: str | None, folder: RunFolder) -> None:
        self._rest, self._folder = rest, folder
        self.is_of_one_folder = run_id is None
        self.run_id = require_created(rest, folder) if run_id is None else run_id
        self.limits = AZURE_ML_BY_MLFLOW if rest.tracking.is_azure else MLFLOW
        self._artifacts: ArtifactStore | None = None

    def id_of(self, value: MetricValue) -> str:
        return _id((value.service_name, value.step or 0, value.milliseconds))

    def post(self, values: Sequence[MetricValue]) -> dict[str, str]:
        """All are stored or none is."""
        self._log_batch(
            metrics=[
                {
                    "key": value.service_name,
                    "value": to_json_number(value.data[value.service_name]),
                    "timestamp": value.milliseconds,
                    "step": value.step or 0,
                }
                for value in values
            ]
        )
        return {}

    def metric_names(self) -> list[str]:
        return [metric["key"] for metric in self._data("metrics")]

    def stored_ids(self, service_names: Iterable[str]) -> set[str]:
        return {_id(place) for name in service_names for place in self._history(name)}

    def stored_before(self, attempt: Attempt) -> Callable[[MetricValue], bool]:
        begun = begin_generation(self, attempt)
        stored = [place for name in attempt.earlier_names for place in self._history(name)]
        logged = [(value.service_name, value.step or 0, value.milliseconds) for value in _if_any(stored, attempt)]
        earlier = EarlierValues(stored, logged, begun, attempt.begun)
        return lambda value: earlier.has((value.service_name, value.step or 0, value.milliseconds))

    def tags(self) -> dict[str, str]:
        return {tag["key"]: tag.get("value", "") for tag in self._data("tags")}

    def set_tags(self, tags: Mapping[str, str]) -> None:
        for part in _parts(tags):
            self._log_batch(tags=part)

    def params(self) -> dict[str, str]:
        return {param["key"]: param.get("value", "") for param in self._data("params")}

    def log_params(self, params: Mapping[str, str]) -> dict[str, str]:
        refused: dict[str, str] = {}
        for part in _parts(params):
            try:
                self._log_batch(params=part)
            except DeliveryError as error:
                if not error.malformed:
                    raise
                refused |= {param["key"]: reason for param in part if (reason := self._refusal(param))}
        return refused

    def address(self, path: str) -> None:
        """A metric is a number here, and refers to nothing."""

    def upload(self, path: str, content: bytes) -> None:
        if self._artifacts is None:
            self._artifacts = ArtifactStore(self._rest, self._info())
        self._artifacts.upload(path, content)

    def report_end(self) -> None:
        """The status of a run that was created for the folder; that of another one is its owner's to say."""
        if self.is_of_one_folder:
            report_status(self._rest, self._folder)

    def _refusal(self, param: Mapping[str, str]) -> str:
        try:
            self._log_batch(params=[param])
        except DeliveryError as error:
            if not error.malformed:
                raise
            return str(error)
        return ""

    def _log_batch(self, **content: Sequence[Mapping[str, Any]]) -> None:
        self._rest.post("runs/log-batch", {"run_id": self.run_id, **content})

    def _info(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._rest.get("runs/get", run_id=self.run_id)["run"]["info"]
        return found

    def _data(self, part: str) -> Sequence[Mapping[str, Any]]:
        run = self._rest.get("runs/get", run_id=self.run_id)["run"]
        found: Sequence[Mapping[str, Any]] = run.get("data", {}).get(part, ())
        return found

    def _history(self, name: str) -> Iterator[_Place]:
        query: dict[str, Any] = {"run_id": self.run_id, "metric_key": name}
        if not self._rest.tracking.is_azure:
            query["max_results"] = _PAGE
        while True:
            try:
                page = self._rest.get("metrics/get-history", **query)
            except NotFoundError:  # Azure ML has no such metric yet
                return
            for metric in page.get("metrics", ()):
                yield metric["key"], int(metric.get("step", 0)), int(metric["timestamp"])
            if not page.get("next_page_token"):
                return
            query["page_token"] = page["next_page_token"]


def _id(place: _Place) -> str:
    return json.dumps(place)


def _if_any(stored: Sequence[_Place], attempt: Attempt) -> Iterable[MetricValue]:
    return attempt.logged() if stored else ()


def _parts(labels: Mapping[str, str]) -> Iterator[list[dict[str, str]]]:
    """Lists of a size that the interface accepts."""
    all_labels = [{"key": key, "value": value} for key, value in labels.items()]
    for start in range(0, len(all_labels), MLFLOW_LABELS_A_REQUEST):
        yield all_labels[start : start + MLFLOW_LABELS_A_REQUEST]
