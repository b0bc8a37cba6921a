"""What Azure ML knows of a run, and of the runs of an experiment."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from submit.errors import SubmitError

ENDED = {"Completed": 0, "Failed": 1, "Canceled": 3}
"""The statuses of a run that has ended, each with its exit status."""

_NAMED = 10  # experiments that a message names


@dataclass(frozen=True)
class RunState:
    """The status of a run, its times and its error; None stands for what hasn't happened."""

    status: str
    started: datetime | None
    ended: datetime | None
    error: str | None

    @property
    def duration(self) -> timedelta | None:
        return duration(self.started, self.ended)


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


def last_values(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The last value of each numeric metric; one that was logged several times has a list."""
    last = {name: value[-1] if isinstance(value, list) and value else value for name, value in metrics.items()}
    return {
        name: value
        for name, value in sorted(last.items())
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


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


def check_run_id(run_id: str) -> None:
    """Raises SubmitError for what can't be the id of a run."""
    if not re.fullmatch(r"[\w.-]+", run_id, re.ASCII):
        raise SubmitError(f"RUN {run_id!r}: expected the id of a run, such as lightning-azureml_1795213982_0feaec99")


def no_such_run(run_id: str, workspace: str) -> SubmitError:
    return SubmitError(
        f"RUN {run_id!r}: the workspace {workspace!r} has no such run; python -m submit list shows its runs"
    )


def no_such_experiment(experiment: str, there: Iterable[str]) -> SubmitError:
    names = ", ".join(sorted(there)[:_NAMED]) or "none"
    return SubmitError(f"--experiment {experiment!r}: the workspace has no such experiment; it has {names}")
