"""Runs of azure-ai-ml, which calls them jobs: found, read, cancelled and registered."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.interface import ModelLabels, RemoteFile, SentSweep
from submit.job import DatastorePath, Job, RegisteredDataset
from submit.resuming import ARTIFACT_STORE
from submit.runs.retry import service_errors
from submit.runs.run_info import (
    RunInfo,
    RunState,
    check_run_id,
    no_such_run,
    to_datetime,
)
from submit.v2.enumerations import plain
from submit.v2.files import RunFiles, run_folder
from submit.v2.metrics import is_single, last_metrics
from submit.v2.models import register_model
from submit.v2.request import checkpoint_folder, recorded_data, resumed_job

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_ARTIFACTS = "azureml://jobs/{}/outputs/artifacts/paths/{}"  # the form that Azure documents for models
_COMMIT = "mlflow.source.git.commit"


class ClientRun:
    """A ``submit.interface.Run``; ``job`` is what azure-ai-ml has returned for it."""

    def __init__(self, client: "MLClient", job: Any) -> None:
        self._client = client
        self._job = job
        self._files = RunFiles(client, job.name)

    @property
    def id(self) -> str:
        return str(self._job.name)

    @property
    def experiment(self) -> str:
        return str(self._job.experiment_name)

    @property
    def portal(self) -> str:
        return str(self._job.studio_url)

    def status(self) -> str:
        self._job = self._client.jobs.get(self.id)
        return plain(self._job.status)

    def state(self) -> RunState:
        details = self._client.jobs._runs_operations.get_run_details(self.id)
        return RunState(
            status=plain(details.status),
            started=to_datetime(details.start_time_utc),
            ended=to_datetime(details.end_time_utc),
            error=_error_of(details),
        )

    def info(self) -> RunInfo:
        state = self.state()
        nodes, processes = _shape(self._job)
        return RunInfo(
            run_id=self.id,
            experiment=self.experiment,
            status=state.status,
            started=state.started,
            ended=state.ended,
            compute=self._job.compute,
            nodes=nodes,
            processes_per_node=processes,
            error=state.error,
            portal=self.portal,
            metrics=last_metrics(self._client, self.id),
        )

    def cancel(self) -> None:
        self._client.jobs.begin_cancel(self.id)

    def paths(self) -> Sequence[str]:
        return self._files.paths()

    def file(self, path: str) -> RemoteFile:
        return self._files.file(path)

    def metrics_of_one_value(self) -> Mapping[str, float]:
        found = last_metrics(self._client, self.id)
        return {name: value for name, value in found.items() if is_single(self._client, self.id, name)}

    def commit(self) -> str | None:
        found: str | None = (self._job.properties or {}).get(_COMMIT)
        return found

    def data(self) -> RegisteredDataset | DatastorePath | None:
        return recorded_data(self._job)

    def register_model(self, name: str, path: str, labels: ModelLabels, description: str | None) -> int:
        return register_model(self._client, name, _ARTIFACTS.format(self.id, path), labels, description)

    def folder(self, name: str) -> DatastorePath:
        return DatastorePath(ARTIFACT_STORE, f"{run_folder(self.id)}/{name}", "mount")

    def resumed(self, folder: Path, training: Sequence[str], resume: DatastorePath) -> Job:
        return resumed_job(self._job, folder, resume, training)

    def checkpoints(self) -> DatastorePath | None:
        return checkpoint_folder(self._job)

    def command(self) -> Sequence[str]:
        return shlex.split(self._job.command or "")

    def sweep(self) -> SentSweep | None:
        if self._job.type != "sweep":
            return None
        children = self._client.jobs.list(parent_job_name=self.id)
        runs = [(ClientRun(self._client, child), _drawn(child)) for child in children if child is not None]
        objective = self._job.objective
        return SentSweep(objective.primary_metric, objective.goal, runs)


def find_run(client: "MLClient", run_id: str) -> ClientRun:
    """The run with this id.

    Raises:
        SubmitError: There is no such run.
        ServiceError: Azure ML doesn't respond.
    """
    from azure.core.exceptions import ResourceNotFoundError

    check_run_id(run_id)
    with service_errors(f"run {run_id}"):
        try:
            return ClientRun(client, client.jobs.get(run_id))
        except ResourceNotFoundError as error:
            raise no_such_run(run_id, client.workspace_name) from error


def _shape(job: Any) -> tuple[int | None, int | None]:
    """The nodes of a job, and the processes on each."""
    resources, distribution = getattr(job, "resources", None), getattr(job, "distribution", None)
    if resources is None:
        return None, None
    return int(resources.instance_count or 1), int(getattr(distribution, "process_count_per_instance", None) or 1)


def _error_of(details: Any) -> str | None:
    """The error of a failed run in one line."""
    message = getattr(getattr(details.error, "error", None), "message", None)
    return " ".join(message.split()) if message else None


def _drawn(child: Any) -> Mapping[str, Any]:
    """The hyperparameters of a run of a sweep, which the service keeps as JSON in its properties or tags."""
    for kept in ((child.tags or {}), (child.properties or {})):
        if text := kept.get("hyperparameters"):
            content: Mapping[str, Any] = json.loads(text)
            return content
    return {}
