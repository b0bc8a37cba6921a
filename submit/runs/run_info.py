"""What Azure ML knows of a run, and of the runs of an experiment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_app.azureml.run_artifacts import http_status
from submit.errors import SubmitError
from submit.request import job_shape
from submit.runs.retry import service_errors
from submit.workspace import open_workspace

if TYPE_CHECKING:
    from azureml.core import Run, Workspace

ENDED = {"Completed": 0, "Failed": 1, "Canceled": 3}
"""The statuses of a run that has ended, each with its exit status."""


@dataclass(frozen=True)
class RunInfo:
    """A run at one time; None stands for what isn't known or hasn't happened yet."""

    run_id: str
    experiment: str
    status: str
    started: datetime | None
    ended: datetime | None
    compute: str | None
    nodes: int | None
    processes_per_node: int | None
    error: str | None
    portal: str
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def duration(self) -> timedelta | None:
        return duration(self.started, self.ended)


def get_run_info(run: "Run") -> RunInfo:
    """Requests the details and metrics of a run.

    Raises:
        FailureError: Azure ML doesn't respond.
    """
    with service_errors(f"run {run.id}"):
        details = run.get_details()
        metrics = last_values(run.get_metrics())
    shape = job_shape(details.get("runDefinition") or {})
    return RunInfo(
        run_id=run.id,
        experiment=run.experiment.name,
        status=details["status"],
        started=to_datetime(details.get("startTimeUtc")),
        ended=to_datetime(details.get("endTimeUtc")),
        compute=details.get("target"),
        nodes=shape.nodes if shape else None,
        processes_per_node=shape.processes_per_node if shape else None,
        error=error_of(details),
        portal=run.get_portal_url(),
        metrics=metrics,
    )


def last_values(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The last value of each numeric metric; azureml-core has a list for several values."""
    last = {name: value[-1] if isinstance(value, list) and value else value for name, value in metrics.items()}
    return {
        name: value
        for name, value in sorted(last.items())
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def error_of(details: Mapping[str, Any]) -> str | None:
    """The error of a failed run in one line."""
    error = (details.get("error") or {}).get("error") or {}
    message = error.get("message")
    return " ".join(message.split()) if message else None


def to_datetime(text: str | datetime | None) -> datetime | None:
    """A datetime in UTC from a string, or from a datetime with or without a time zone."""
    if not text:
        return None
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=timezone.utc)
    seconds = re.split(r"[.Z+]", text, maxsplit=1)[0]  # always UTC, with any number of decimals
    return datetime.fromisoformat(seconds).replace(tzinfo=timezone.utc)


def duration(started: datetime | None, ended: datetime | None) -> timedelta | None:
    """The duration in whole seconds, until now if it hasn't ended."""
    if started is None:
        return None
    passed = (ended or datetime.now(timezone.utc)) - started
    return timedelta(seconds=max(0, int(passed.total_seconds())))


def find_run(run_id: str, workspace_file: Path | None) -> "Run":
    """The run with this id.

    Raises:
        SubmitError: There is no such run or no workspace.
        FailureError: Azure ML doesn't respond.
    """
    if not re.fullmatch(r"[\w.-]+", run_id, re.ASCII):
        raise SubmitError(f"RUN {run_id!r}: expected the id of a run, such as lightning-azureml_1795213982_0feaec99")
    workspace = open_workspace(workspace_file)
    with service_errors(f"run {run_id}"):
        try:
            return workspace.get_run(run_id)
        except Exception as error:
            if http_status(error) != 404:
                raise
            raise SubmitError(
                f"RUN {run_id!r}: the workspace {workspace.name!r} has no such run; python -m submit list shows "
                "its runs"
            ) from error


_NEWEST_FIRST = ("CreatedUtc", "desc")  # azureml-core sorts by the start, which queued runs don't have

_NAMED = 10  # experiments that a message names


@dataclass(frozen=True)
class RunSummary:
    """A run in the list of an experiment."""

    run_id: str
    status: str
    created: datetime | None
    started: datetime | None
    ended: datetime | None
    tags: Mapping[str, str]

    @property
    def duration(self) -> timedelta | None:
        return duration(self.started, self.ended)

    @property
    def model(self) -> str | None:
        return self.tags.get("model")


def list_runs(workspace: "Workspace", experiment: str, limit: int) -> list[RunSummary]:
    """The newest runs, newest first.

    Raises:
        SubmitError: There is no such experiment.
        FailureError: Azure ML doesn't respond.
    """
    from azureml._restclient.experiment_client import ExperimentClient
    from azureml.core import Experiment

    with service_errors(f"the runs of {experiment}"):
        # Experiment(workspace, experiment) would create it
        found = {each.name: each for each in Experiment.list(workspace)}
        if experiment not in found:
            there = ", ".join(sorted(found)[:_NAMED]) or "none"
            raise SubmitError(f"--experiment {experiment!r}: the workspace has no such experiment; it has {there}")
        client = ExperimentClient(workspace.service_context, experiment, found[experiment].id)
        runs = list(islice(client.get_runs(last=limit, order_by=_NEWEST_FIRST), limit))
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
