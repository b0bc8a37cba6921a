"""Run history: discovery, runs with their tags and properties, events and tokens."""

import time
from typing import Any

from submit.emulator import datetimes, limits
from submit.emulator.auth import Parameters, for_run
from submit.emulator.messages import ApiError, Request, Response, error_content, json_response
from submit.emulator.routing import Route
from submit.emulator.state import Run, State
from submit.emulator.workspace import SCOPE, TENANT, experiment_id

SERVICES = ("api", "history", "experimentation", "modelmanagement", "hyperdrive", "studio")
PATCHED = {"runId", "tags", "properties", "displayName", "description", "hidden"}
TOKEN_SECONDS = 3600
_SYSTEM = "_aml_system_"  # tags of the service's own, such as a sweep's


def discovery(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response(dict.fromkeys(SERVICES, f"https://{request.host}" if request.host else state.url))


def get_run(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    return json_response(run_content(state, run))


def get_details(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    lineage: dict[str, Any] = {
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": run.definition,
        "logFiles": {},
    }
    return json_response(run_content(state, run) | lineage)


def patch(run: Run, content: dict[str, Any]) -> None:
    """Adds tags and properties; sets the display name and the description; archives the run or takes it back.

    Raises:
        ApiError: There is something else to change, or a limit is exceeded; nothing has changed.
    """
    if unknown := {name for name, value in content.items() if value is not None} - PATCHED:
        raise ApiError(
            400, "BadArgument", f"the emulator can't patch {sorted(unknown)}; it can patch {sorted(PATCHED)}"
        )
    tags = run.tags | (content.get("tags") or {})
    properties = run.properties | (content.get("properties") or {})
    limits.check_labels("tags", {name: value for name, value in tags.items() if not name.startswith(_SYSTEM)})
    limits.check_labels("properties", properties)
    limits.check_display_name(content.get("displayName") or "")
    run.tags, run.properties = tags, properties
    run.display_name = content.get("displayName") or run.display_name
    run.description = content.get("description") or run.description
    run.is_archived = run.is_archived if content.get("hidden") is None else bool(content["hidden"])


def delete_tags(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    for name in request.json():
        run.tags.pop(name, None)
    return json_response({"errors": {}})


def get_token(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    expires = time.time() + TOKEN_SECONDS
    token = state.tokens.issue(run.id, expires)
    return json_response({"token": token, "expiryTimeUtc": datetimes.to_iso(datetimes.from_timestamp(expires))})


def wait_for_metrics(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """Metrics are stored before their batch is acknowledged, so there is nothing to wait for."""
    return Response()


def run_content(state: State, run: Run) -> dict[str, Any]:
    """A run as the client reads it."""
    execution = f"{state.url}/execution/v1.0{SCOPE}/experiments/{run.experiment}/runId/{run.id}"
    return {
        "runId": run.id,
        "runNumber": run.number,
        "rootRunId": state.root_of(run).id,
        "parentRunId": run.parent,
        "experimentId": experiment_id(run.experiment),
        "createdUtc": datetimes.to_iso(run.created),
        "startTimeUtc": run.started and datetimes.to_iso(run.started),
        "endTimeUtc": run.ended and datetimes.to_iso(run.ended),
        "status": run.status,
        "displayName": run.display_name,
        "description": run.description,
        "hidden": run.is_archived,
        "dataContainerId": run.container,
        "runType": run.type,
        "target": run.target,
        "cancelUri": f"{execution}/cancel" if run.definition else None,
        "error": run.error and error_content("UserError", run.error),
        "createdBy": {"userName": "emulator", "userTenantId": TENANT},
        "tags": run.tags,
        "properties": run.properties,
    }


_BY_ID = f"/history/v1.0{SCOPE}/experimentids/{{experiment}}/runs/{{run}}"
_BY_NAME = f"/history/v1.0{SCOPE}/experiments/{{experiment}}/runs/{{run}}"
_RUN_HISTORY = f"/history/v1.0{SCOPE}"
ROUTES = (
    Route("GET", "/discovery/workspaces/{workspace}", discovery),
    Route("GET", _BY_ID, for_run(get_run, reads=True)),
    Route("GET", _BY_NAME, for_run(get_run, reads=True)),
    Route("GET", f"{_BY_ID}/token", for_run(get_token, to_refresh=True)),
    Route("GET", f"{_BY_NAME}/token", for_run(get_token, to_refresh=True)),
    Route("GET", f"{_BY_NAME}/details", for_run(get_details)),
    Route("DELETE", f"{_BY_NAME}/tags", for_run(delete_tags)),
    Route("GET", f"{_BY_NAME}/metricsingest/wait", for_run(wait_for_metrics)),
    Route("GET", f"{_RUN_HISTORY}/runs/{{run}}", for_run(get_run, reads=True)),
    Route("GET", f"{_RUN_HISTORY}/runs/{{run}}/details", for_run(get_details)),
)
