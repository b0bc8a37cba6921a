"""Runs and experiments of the MLflow interface."""

import re
import uuid
from datetime import datetime
from typing import Any

from submit.emulator import datetimes
from submit.emulator.api.jobs import set_status
from submit.emulator.auth import Parameters, for_job_or_user, own_run_id
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.mlflow.data import metric_content
from submit.emulator.mlflow.handlers import API, body, for_mlflow, for_named_run, labels
from submit.emulator.routing import Route
from submit.emulator.state import Run, State
from submit.emulator.workspace import API_HOST, SCOPE, experiment_id

_STATUSES = {"Running": "RUNNING", "Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
_PARENT = "mlflow.parentRunId"
_NAME = "mlflow.runName"
_NEWEST_FIRST = re.compile(r"(attributes?\.)?start_time DESC")
_TAG_FILTER = re.compile(r"\s*tags?\.[`\"]?(?P<key>[\w.\-/]+)[`\"]?\s*=\s*['\"](?P<value>[^'\"]*)['\"]\s*")


def get_run(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    return json_response({"run": run_content(run)})


def create_run(state: State, request: Request, parameters: Parameters) -> Response:
    """A run that a script reports on; a job may create children of its own run."""
    content = body(request)
    experiment = _experiment_named(state, str(content.get("experiment_id")))
    tags = labels(content.get("tags"), "tags")
    parent, owner = tags.get(_PARENT), own_run_id(state, request)
    if owner is not None and (parent not in state.runs or state.root_of(state.runs[parent]).id != owner):
        raise ApiError(401, "Unauthorized", f"the token is for run {owner}, which may create children only")
    run = Run(str(uuid.uuid4()), experiment, len(state.runs) + 1, datetimes.now(), started=datetimes.now())
    run.is_interactive, run.parent, run.tags = True, parent, dict(tags)
    run.display_name = content.get("run_name") or tags.get(_NAME, "")
    return json_response({"run": run_content(state.keep_run(run))})


def update_run(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """The status of a run that a script has created; the platform sets that of a job."""
    content = body(request)
    status = next((ours for ours, theirs in _STATUSES.items() if theirs == content.get("status")), None)
    if run.is_interactive and status is not None:
        set_status(run, status, None)
    run.display_name = content.get("run_name") or run.display_name
    return json_response({"run_info": run_content(run)["info"]})


def search_runs(state: State, request: Request, parameters: Parameters) -> Response:
    """The runs of experiments, all or those with a tag, the newest first."""
    content = body(request)
    if other := [order for order in content.get("order_by") or () if not _NEWEST_FIRST.fullmatch(str(order))]:
        raise ApiError(400, "BadArgument", f"the emulator doesn't know the order {other[0]!r:.200}")
    wanted = content.get("filter") or ""
    clause = _TAG_FILTER.fullmatch(wanted)
    if wanted and clause is None:
        raise ApiError(400, "BadArgument", f"the emulator doesn't know the filter {wanted!r:.200}")
    experiments = {_experiment_named(state, str(name)) for name in content.get("experiment_ids") or ()}
    views = _views(content.get("run_view_type"))
    runs = [run for run in state.runs.values() if run.experiment in experiments and run.is_archived in views]
    found = [run for run in runs if clause is None or run.tags.get(clause["key"]) == clause["value"]]
    found.sort(key=lambda run: run.number, reverse=True)
    begin = int(content.get("page_token") or 0)
    end = begin + int(content.get("max_results") or 1000)
    token = {"next_page_token": str(end)} if end < len(found) else {}
    return json_response({"runs": [run_content(run) for run in found[begin:end]]} | token)


def _views(view: Any) -> tuple[bool, ...]:
    """Whether the runs of a view are archived, which MLflow calls deleted.

    Raises:
        ApiError: There is no such view.
    """
    views = {"ACTIVE_ONLY": (False,), "DELETED_ONLY": (True,), "ALL": (False, True)}
    if view not in (None, *views):
        raise ApiError(400, "BadArgument", f"run_view_type is {view!r:.100}; expected one of {', '.join(views)}")
    return views[view or "ACTIVE_ONLY"]


def search_experiments(state: State, request: Request, parameters: Parameters) -> Response:
    """All of them."""
    if wanted := body(request).get("filter"):
        raise ApiError(400, "BadArgument", f"the emulator doesn't know the filter {wanted!r:.200}")
    return json_response({"experiments": [_experiment_content(state, name) for name in state.experiments]})


def get_experiment(state: State, request: Request, parameters: Parameters) -> Response:
    name = request.query.get("experiment_name") or request.query.get("experiment_id") or ""
    return json_response({"experiment": _experiment_content(state, _experiment_named(state, name))})


def create_experiment(state: State, request: Request, parameters: Parameters) -> Response:
    name = str(body(request).get("name") or "")
    if not name or name in state.experiments:
        raise ApiError(400, "UserError", f"the experiment {name!r} exists already, or has no name")
    state.experiments[name] = datetimes.now()
    return json_response({"experiment_id": experiment_id(name)})


def search_logged_models(state: State, request: Request, parameters: Parameters) -> Response:
    """None: the workspace has no models of MLflow 3, and its client asks for those of each run."""
    return json_response({"models": []})


def run_content(run: Run) -> dict[str, Any]:
    """A run as the client reads it; of each metric the last value."""
    own = {_NAME: run.display_name or run.id} | ({_PARENT: run.parent} if run.parent else {})
    metrics = [metric_content(key, rows[-1]) for key, rows in run.metrics.items() if key in rows[-1].data]
    return {
        "info": {
            "run_id": run.id,
            "run_uuid": run.id,
            "run_name": run.display_name or run.id,
            "experiment_id": experiment_id(run.experiment),
            "user_id": "emulator",
            "status": _STATUSES.get(run.status, "SCHEDULED"),
            "start_time": _milliseconds(run.created),  # in Azure ML the time at which a run was queued
            "end_time": run.ended and _milliseconds(run.ended),
            "artifact_uri": (
                f"azureml://{API_HOST}/mlflow/v2.0{SCOPE}/experiments/{experiment_id(run.experiment)}"
                f"/runs/{run.id}/artifacts"
            ),
            "lifecycle_stage": "deleted" if run.is_archived else "active",
        },
        "data": {
            "metrics": [metric for metric in metrics if isinstance(metric["value"], float)],
            "params": [{"key": key, "value": value} for key, value in run.params.items()],
            "tags": [{"key": key, "value": value or ""} for key, value in (own | run.tags).items()],
        },
    }


def _experiment_named(state: State, name_or_id: str) -> str:
    for name in state.experiments:
        if name_or_id in (name, experiment_id(name)):
            return name
    raise ApiError(404, "NotFound", f"there is no experiment {name_or_id!r}")


def _experiment_content(state: State, name: str) -> dict[str, Any]:
    created = _milliseconds(state.experiments[name])
    return {
        "experiment_id": experiment_id(name),
        "name": name,
        "artifact_location": "",
        "lifecycle_stage": "active",
        "creation_time": created,
        "last_update_time": created,
        "tags": [{"key": key, "value": value} for key, value in state.experiment_tags.get(name, {}).items()],
    }


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


ROUTES = (
    Route("GET", f"{API}/runs/get", for_named_run(get_run, reads=True)),
    Route("POST", f"{API}/runs/create", for_mlflow(for_job_or_user(create_run))),
    Route("POST", f"{API}/runs/update", for_named_run(update_run)),
    Route("POST", f"{API}/runs/search", for_mlflow(for_job_or_user(search_runs))),
    Route("GET", f"{API}/experiments/get", for_mlflow(for_job_or_user(get_experiment))),
    Route("GET", f"{API}/experiments/get-by-name", for_mlflow(for_job_or_user(get_experiment))),
    Route("POST", f"{API}/logged-models/search", for_mlflow(for_job_or_user(search_logged_models))),
    Route("POST", f"{API}/experiments/search", for_mlflow(for_job_or_user(search_experiments))),
    Route("POST", f"{API}/experiments/create", for_mlflow(for_job_or_user(create_experiment))),
)
