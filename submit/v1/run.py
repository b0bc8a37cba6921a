"""Runs of azureml-core: found, listed, read, cancelled and registered."""

import json
import shlex
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_app.azureml.run_artifacts import artifact_paths, http_status
from submit.errors import SubmitError
from submit.interface import ModelLabels, SentSweep
from submit.job import DatastorePath, Job, RegisteredDataset
from submit.resuming import ARTIFACT_STORE
from submit.runs.retry import service_errors
from submit.runs.run_info import (
    RunInfo,
    RunState,
    RunSummary,
    check_run_id,
    last_values,
    no_such_experiment,
    no_such_run,
    to_datetime,
)
from submit.v1.artifacts import Artifact, artifact_store_path
from submit.v1.request import checkpoint_folder, job_shape, recorded_data, resumed_job

if TYPE_CHECKING:
    from azureml.core import Run, Workspace

_NEWEST_FIRST = ("CreatedUtc", "desc")  # azureml-core sorts by the start, which queued runs don't have
_HYPERPARAMETERS = "_aml_system_"  # HyperDrive's tags of the sweep, by the id of the run
_PRIMARY_METRIC = "_aml_system_primary_metric_config"


class CoreRun:
    """A ``submit.interface.Run``."""

    def __init__(self, run: "Run") -> None:
        self._run = run

    @property
    def id(self) -> str:
        return str(self._run.id)

    @property
    def experiment(self) -> str:
        return str(self._run.experiment.name)

    @property
    def portal(self) -> str:
        return str(self._run.get_portal_url())

    def status(self) -> str:
        return str(self._run.get_status())

    def state(self) -> RunState:
        return _state(self._run.get_details())

    def info(self) -> RunInfo:
        details = self._run.get_details()
        state, shape = _state(details), job_shape(details.get("runDefinition") or {})
        return RunInfo(
            run_id=self.id,
            experiment=self.experiment,
            status=state.status,
            started=state.started,
            ended=state.ended,
            compute=details.get("target"),
            nodes=shape.nodes if shape else None,
            processes_per_node=shape.processes_per_node if shape else None,
            error=state.error,
            portal=self.portal,
            metrics=last_values(self._run.get_metrics()),
        )

    def cancel(self) -> None:
        self._run.cancel()

    def paths(self) -> Sequence[str]:
        return artifact_paths(self._run)

    def file(self, path: str) -> Artifact:
        return Artifact(self._run, path)

    def metrics_of_one_value(self) -> Mapping[str, float]:
        logged = self._run.get_metrics()
        return {name: value for name, value in last_values(logged).items() if not isinstance(logged[name], list)}

    def commit(self) -> str | None:
        commit: str | None = self._run.get_properties().get("azureml.git.commit")
        return commit

    def data(self) -> RegisteredDataset | DatastorePath | None:
        try:
            return recorded_data(self._definition())
        except SubmitError:  # a dataset without a name
            return None

    def register_model(self, name: str, path: str, labels: ModelLabels, description: str | None) -> int:
        model = self._run.register_model(
            name,
            model_path=path,
            tags=dict(labels.tags),
            properties=dict(labels.properties),
            description=description,
        )
        return int(model.version)

    def folder(self, name: str) -> DatastorePath:
        return DatastorePath(ARTIFACT_STORE, artifact_store_path(self._run, name), "mount")

    def resumed(self, folder: Path, training: Sequence[str], resume: DatastorePath) -> Job:
        return resumed_job(self._definition(), self.experiment, folder, resume, training)

    def checkpoints(self) -> DatastorePath | None:
        return checkpoint_folder(self._definition(), self.id)

    def command(self) -> Sequence[str]:
        return shlex.split(self._definition().get("command") or "")

    def sweep(self) -> SentSweep | None:
        tags = self._run.get_tags()
        if _PRIMARY_METRIC not in tags:
            return None
        config = json.loads(tags[_PRIMARY_METRIC])
        runs = [
            (CoreRun(child), json.loads(tags.get(f"{_HYPERPARAMETERS}{child.id}") or "{}"))
            for child in self._run.get_children()
        ]
        return SentSweep(config["name"], config["goal"], runs)

    def _definition(self) -> Mapping[str, Any]:
        return self._run.get_details().get("runDefinition") or {}


def _state(details: Mapping[str, Any]) -> RunState:
    return RunState(
        status=details["status"],
        started=to_datetime(details.get("startTimeUtc")),
        ended=to_datetime(details.get("endTimeUtc")),
        error=_error_of(details),
    )


def _error_of(details: Mapping[str, Any]) -> str | None:
    """The error of a failed run in one line."""
    error = (details.get("error") or {}).get("error") or {}
    message = error.get("message")
    return " ".join(message.split()) if message else None


def find_run(workspace: "Workspace", run_id: str) -> CoreRun:
    """The run with this id.

    Raises:
        SubmitError: There is no such run.
        ServiceError: Azure ML doesn't respond.
    """
    check_run_id(run_id)
    with service_errors(f"run {run_id}"):
        try:
            return CoreRun(workspace.get_run(run_id))
        except Exception as error:
            if http_status(error) != 404:
                raise
            raise no_such_run(run_id, workspace.name) from error


def list_runs(workspace: "Workspace", experiment: str, limit: int) -> list[RunSummary]:
    """The newest runs, newest first, without those of sweeps.

    Raises:
        SubmitError: There is no such experiment.
        ServiceError: Azure ML doesn't respond.
    """
    from azureml._restclient.experiment_client import ExperimentClient
    from azureml.core import Experiment

    with service_errors(f"the runs of {experiment}"):
        # Experiment(workspace, experiment) would create it
        found = {each.name: each for each in Experiment.list(workspace)}
        if experiment not in found:
            raise no_such_experiment(experiment, found)
        client = ExperimentClient(workspace.service_context, experiment, found[experiment].id)
        newest = client.get_runs(last=limit, order_by=_NEWEST_FIRST)
        runs = list(islice((run for run in newest if run.parent_run_id is None), limit))
    return [
        RunSummary(
            run.run_id,
            run.status,
            to_datetime(run.created_utc),
            to_datetime(run.start_time_utc),
            to_datetime(run.end_time_utc),
            dict(run.tags or {}),
        )
        for run in runs
    ]
