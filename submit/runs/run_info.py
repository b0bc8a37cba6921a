"""What Azure ML knows of a run, and of the runs of an experiment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError
from submit.runs.retry import http_status, service_errors
from submit.workspace import open_workspace

if TYPE_CHECKING:
    from azureml.core import Run, Workspace

ENDED = {"Completed": 0, "Failed": 1, "Canceled": 3}
"""The statuses in which a run has ended, and the exit status that each of them is."""


@dataclass(frozen=True)
class RunInfo:
    """A run at a moment; None stands for what isn't known, or hasn't happened yet."""

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
    """Asks for all of it.

    Raises:
        FailureError: Azure ML doesn't answer.
    """
    with service_errors(f"run {run.id}"):
        details = run.get_details()
        metrics = last_values(run.get_metrics())
    nodes, processes = shape_of(details.get("runDefinition") or {})
    return RunInfo(
        run_id=run.id,
        experiment=run.experiment.name,
        status=details["status"],
        started=to_datetime(details.get("startTimeUtc")),
        ended=to_datetime(details.get("endTimeUtc")),
        compute=details.get("target"),
        nodes=nodes,
        processes_per_node=processes,
        error=error_of(details),
        portal=run.get_portal_url(),
        metrics=metrics,
    )


def last_values(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The last value of each metric that is a number; azureml-core has a list where there are several."""
    last = {name: value[-1] if isinstance(value, list) and value else value for name, value in metrics.items()}
    return {
        name: value
        for name, value in sorted(last.items())
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def shape_of(definition: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Nodes, and processes on each; the service capitalises some names otherwise than the request had them."""
    sections = {name.lower(): content for name, content in definition.items()}
    if "nodecount" not in sections:
        return None, None
    nodes = sections["nodecount"]
    if "mpi" in str(sections.get("communicator")).lower():
        return nodes, (sections.get("mpi") or {}).get("processCountPerNode")
    total = (sections.get("pytorch") or {}).get("processCount") or nodes
    return nodes, total // nodes


def error_of(details: Mapping[str, Any]) -> str | None:
    """Why a run has failed, in one line."""
    error = (details.get("error") or {}).get("error") or {}
    message = error.get("message")
    return " ".join(message.split()) if message else None


def to_datetime(text: str | datetime | None) -> datetime | None:
    """A time of azureml-core, which has a text, or a moment, with a time zone or without."""
    if not text:
        return None
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=timezone.utc)
    seconds = re.split(r"[.Z+]", text, maxsplit=1)[0]  # it is always UTC; the number of decimals varies
    return datetime.fromisoformat(seconds).replace(tzinfo=timezone.utc)


def duration(started: datetime | None, ended: datetime | None) -> timedelta | None:
    """Of whole seconds, up to now for what goes on."""
    if started is None:
        return None
    passed = (ended or datetime.now(timezone.utc)) - started
    return timedelta(seconds=max(0, int(passed.total_seconds())))


def find_run(run_id: str, workspace_file: Path | None) -> "Run":
    """The run as Azure ML has it.

    Raises:
        SubmitError: There is no such run, or no workspace to ask.
        FailureError: Azure ML doesn't answer.
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
                f"RUN {run_id!r}: the workspace {workspace.name!r} has no such run; python -m submit list shows those "
                "it has"
            ) from error


_NEWEST_FIRST = ("CreatedUtc", "desc")  # azureml-core's own order is by start, which queued runs don't have yet

_NAMED = 10  # experiments in a message


@dataclass(frozen=True)
class RunSummary:
    """A run in a list."""

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
    """The newest runs, the newest of them first.

    Raises:
        SubmitError: There is no such experiment.
        FailureError: Azure ML doesn't answer.
    """
    from azureml._restclient.experiment_client import ExperimentClient
    from azureml.core import Experiment

    with service_errors(f"the runs of {experiment}"):
        # Experiment(workspace, experiment) would make it where it isn't there
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
