"""The runs of a sweep with their hyperparameters and metrics, the best one first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from submit.errors import SubmitError
from submit.interface import Run
from submit.runs.retry import service_errors


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep; ``metrics`` are last values."""

    run_id: str
    status: str
    duration: timedelta | None
    hyperparameters: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class SweepResult:
    """The runs of a sweep, the best one first; runs without the metric come last."""

    metric: str
    goal: str
    runs: Sequence[SweepRun]


def sweep_result(sweep: Run) -> SweepResult:
    """Requests the runs of a sweep.

    Raises:
        SubmitError: The run is no sweep.
        ServiceError: Azure ML doesn't respond.
    """
    with service_errors(f"sweep {sweep.id}"):
        found = sweep.sweep()
        if found is None:
            raise SubmitError(f"--sweep {sweep.id!r}: isn't a sweep; give the run that submit sweep has printed")
        runs = [_child(child, drawn) for child, drawn in found.runs]
    return SweepResult(found.metric, found.goal, _best_first(runs, found.metric, found.goal))


def _child(child: Run, drawn: Mapping[str, Any]) -> SweepRun:
    info = child.info()
    return SweepRun(child.id, info.status, info.duration, drawn, info.metrics)


def _best_first(runs: Sequence[SweepRun], metric: str, goal: str) -> list[SweepRun]:
    sign = -1 if goal.lower() == "maximize" else 1
    return sorted(runs, key=lambda run: (metric not in run.metrics, sign * run.metrics.get(metric, 0.0), run.run_id))
