"""The newest runs of an experiment.

The resource manager's list of jobs has filters for types, tags and properties of jobs, and none for their experiment;
the MLflow interface searches the runs of one.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any

from submit.runs.retry import service_errors
from submit.runs.run_info import RunSummary, no_such_experiment, to_datetime
from submit.v2 import mlflow
from submit.v2.enumerations import plain

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_PAGE = 100  # runs
_NEWEST_FIRST = ("attributes.start_time DESC",)  # the time at which a run was queued
_PARENT = "mlflow.parentRunId"  # of a run of a sweep
_EXPERIMENTS = 1000


def list_runs(client: "MLClient", experiment: str, limit: int) -> list[RunSummary]:
    """The newest runs, newest first, without those of sweeps.

    Raises:
        SubmitError: There is no such experiment.
        ServiceError: Azure ML doesn't respond.
    """
    with service_errors(f"the runs of {experiment}"):
        found = mlflow.get(client, "experiments/get-by-name", {"experiment_name": experiment})
        if found is None:
            raise no_such_experiment(experiment, _experiments(client))
        runs = islice(_runs(client, str(found["experiment"]["experiment_id"])), limit)
        return [_summary(client, run["info"]) for run in runs]


def _experiments(client: "MLClient") -> list[str]:
    found = mlflow.post(client, "experiments/search", {"max_results": _EXPERIMENTS}) or {}
    return [str(each["name"]) for each in found.get("experiments") or ()]


def _runs(client: "MLClient", experiment_id: str) -> Iterator[dict[str, Any]]:
    wanted: dict[str, Any] = {
        "experiment_ids": [experiment_id],
        "max_results": _PAGE,
        "order_by": list(_NEWEST_FIRST),
        "run_view_type": "ACTIVE_ONLY",
    }
    token: str | None = ""
    while token is not None:
        page = mlflow.post(client, "runs/search", wanted | ({"page_token": token} if token else {})) or {}
        for run in page.get("runs") or ():
            if _PARENT not in {each["key"] for each in run["data"].get("tags") or ()}:
                yield run
        token = page.get("next_page_token") or None


def _summary(client: "MLClient", found: Mapping[str, Any]) -> RunSummary:
    """What MLflow has found, with the status in Azure ML's words and the time of the start, which run history has."""
    details = client.jobs._runs_operations.get_run_details(found["run_id"])
    return RunSummary(
        str(found["run_id"]),
        plain(details.status),
        datetime.fromtimestamp(int(found["start_time"]) / 1000, timezone.utc),
        to_datetime(details.start_time_utc),
        to_datetime(details.end_time_utc),
        dict(details.tags or {}),
    )
