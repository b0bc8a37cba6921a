"""What Azure ML knows of a run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from submit.runs.patience import asking

if TYPE_CHECKING:
    from azureml.core import Run

ENDED = {"Completed": 0, "Failed": 1, "Canceled": 3}
"""The statuses in which a run has ended, and the exit status that each of them is."""


@dataclass(frozen=True)
class Facts:
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


def facts_of(run: "Run") -> Facts:
    """Asks for all of it.

    Raises:
        FailureError: Azure ML doesn't answer.
    """
    with asking(f"run {run.id}"):
        details = run.get_details()
        metrics = last_values(run.get_metrics())
    nodes, processes = shape_of(details.get("runDefinition") or {})
    return Facts(
        run_id=run.id,
        experiment=run.experiment.name,
        status=details["status"],
        started=moment(details.get("startTimeUtc")),
        ended=moment(details.get("endTimeUtc")),
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


def moment(text: str | datetime | None) -> datetime | None:
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
