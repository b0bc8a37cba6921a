"""The runs of a sweep with their hyperparameters and metrics, the best one first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError
from submit.runs.retry import service_errors
from submit.runs.run_info import duration, last_values, to_datetime

if TYPE_CHECKING:
    from azureml.core import Run

_HYPERPARAMETERS = "_aml_system_"  # HyperDrive's tags of the sweep, by the id of the run
_PRIMARY_METRIC = "_aml_system_primary_metric_config"


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


def sweep_result(sweep: "Run") -> SweepResult:
    """Requests the runs of a sweep.

    Raises:
        SubmitError: The run is no sweep.
        ServiceError: Azure ML doesn't respond.
    """
    with service_errors(f"sweep {sweep.id}"):
        tags = sweep.get_tags()
        if _PRIMARY_METRIC not in tags:
            raise SubmitError(f"--sweep {sweep.id!r}: isn't a sweep; give the run that submit sweep has printed")
        runs = [_child(child, tags) for child in sweep.get_children()]
    config = json.loads(tags[_PRIMARY_METRIC])
    return SweepResult(config["name"], config["goal"], _best_first(runs, config["name"], config["goal"]))


def _child(child: "Run", tags: Mapping[str, str]) -> SweepRun:
    details = child.get_details()
    took = duration(to_datetime(details.get("startTimeUtc")), to_datetime(details.get("endTimeUtc")))
    drawn = json.loads(tags.get(f"{_HYPERPARAMETERS}{child.id}") or "{}")
    return SweepRun(child.id, details["status"], took, drawn, last_values(child.get_metrics()))


def _best_first(runs: Sequence[SweepRun], metric: str, goal: str) -> list[SweepRun]:
    sign = -1 if goal.lower() == "maximize" else 1
    return sorted(runs, key=lambda run: (metric not in run.metrics, sign * run.metrics.get(metric, 0.0), run.run_id))
