"""Runs that scripts create by themselves: ``start_logging``, ``child_run`` and ``create_children``.

A run that nobody has submitted has the status that its own events report. A job may create children of its run.
"""

from typing import Any

from submit.emulator import datetimes, limits
from submit.emulator.api.jobs import set_status
from submit.emulator.api.run_history import patch, run_content
from submit.emulator.auth import Parameters, for_job_or_user, for_run, own_run_id, require_own
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import Run, State
from submit.emulator.workspace import SCOPE, experiment_id

_STATUSES = {"Start": "Running", "Completed": "Completed", "Failed": "Failed", "Canceled": "Canceled"}


def patch_or_create(state: State, request: Request, parameters: Parameters) -> Response:
    """Changes a run, or creates it: the client sends the same request for both."""
    run = _changed(state, request, parameters, request.json() | {"runId": parameters["run"]})
    return json_response(run_content(state, run))


def patch_many(state: State, request: Request, parameters: Parameters) -> Response:
    """Creates or changes several runs at once."""
    runs = [_changed(state, request, parameters, content) for content in request.json()["runs"]]
    return json_response({"runs": {run.id: run_content(state, run) for run in runs}, "errors": {}})


def post_event(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """Records an event. It sets the status of a run that a script has created; the platform sets that of a job."""
    _record(run, request.json())
    return json_response({})


def post_events(state: State, request: Request, parameters: Parameters) -> Response:
    events = request.json()["events"]
    for event in events:
        data = {name.lower(): value for name, value in event["data"].items()}
        _record(require_own(state, request, state.runs[data["runid"]]), event)
    return json_response({"errors": []})


def list_children(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    children = [run_content(state, child) for child in state.runs.values() if child.parent == run.id]
    return json_response({"value": children, "continuationToken": None})


def _changed(state: State, request: Request, parameters: Parameters, content: dict[str, Any]) -> Run:
    run = state.runs.get(content["runId"])
    if run is None:
        run = _created(state, request, parameters["experiment"], content)
    run = require_own(state, request, run)
    patch(run, {name: value for name, value in content.items() if name not in _FIXED})
    return run


_FIXED = (
    "runTypeV2",
    "runType",
    "parentRunId",
    "scriptName",
    "status",
    "startTimeUtc",
    "endTimeUtc",
    "createdUtc",
    "name",
    "target",
)


def _created(state: State, request: Request, experiment: str, content: dict[str, Any]) -> Run:
    parent = content.get("parentRunId") or None
    owner = own_run_id(state, request)
    if parent is not None and parent not in state.runs:
        raise ApiError(404, "NotFound", f"there is no run {parent!r}, of which the new one would be a child")
    if owner is not None and (parent is None or state.root_of(state.runs[parent]).id != owner):
        raise ApiError(404, "NotFound", f"there is no run {content['runId']!r}, and a job creates children only")
    limits.check_run_id(content["runId"])
    names = (name for name in state.experiments if experiment in (name, experiment_id(name)))
    number = len(state.runs) + 1
    created = Run(content["runId"], next(names, experiment), number, datetimes.now(), status="NotStarted")
    created.parent, created.is_interactive = parent, True
    return state.keep_run(created)


def _record(run: Run, event: dict[str, Any]) -> None:
    run.events.append(event)
    status = _STATUSES.get(str(event.get("name")).rpartition(".")[2])
    if run.is_interactive and status is not None:
        set_status(run, status, _error(event) if status == "Failed" else None)


def _error(event: dict[str, Any]) -> str | None:
    details = (event.get("data") or {}).get("errorDetails") or event.get("data") or {}
    error = details.get("error") or details.get("errorResponse", {}).get("error") or {}
    message = error.get("message") or (event.get("data") or {}).get("message")
    return str(message) if message else None


_BY_ID = f"/history/v1.0{SCOPE}/experimentids/{{experiment}}"
_BY_NAME = f"/history/v1.0{SCOPE}/experiments/{{experiment}}"
ROUTES = (
    Route("PATCH", f"{_BY_ID}/runs/{{run}}", for_job_or_user(patch_or_create)),
    Route("PATCH", f"{_BY_NAME}/runs/{{run}}", for_job_or_user(patch_or_create)),
    Route("PATCH", f"{_BY_NAME}/batch/runs", for_job_or_user(patch_many)),
    Route("POST", f"{_BY_NAME}/batch/events", for_job_or_user(post_events)),
    Route("POST", f"{_BY_NAME}/runs/{{run}}/events", for_run(post_event)),
    Route("GET", f"{_BY_NAME}/runs/{{run}}/children", for_run(list_children)),
    Route("GET", f"/history/v1.0{SCOPE}/runs/{{run}}/children", for_run(list_children)),
)
