"""The named outputs of jobs of SDK v2: run history knows them as data, whose addresses are asked for by id."""

import re
from typing import Any

from submit.emulator.api.run_history import run_content
from submit.emulator.arm.command_job import output_addresses
from submit.emulator.auth import Parameters, for_job_or_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import LOCATION, SCOPE, WORKSPACE_ID

_DATA = f"azureml://locations/{LOCATION}/workspaces/{WORKSPACE_ID}/data"
_ID = re.compile(rf"{_DATA}/azureml_(?P<run>.+)_output_data_(?P<name>\w+)/versions/1")
_TYPES = {"uri_folder": "UriFolder", "uri_file": "UriFile", "mltable": "MLTable"}


def get_run_data(state: State, request: Request, parameters: Parameters) -> Response:
    run_id = request.json().get("runId")
    if run_id not in state.runs:
        raise ApiError(404, "NotFound", f"there is no run {run_id!r}")
    run = state.runs[run_id]
    outputs = {
        name: {"assetId": f"{_DATA}/azureml_{run_id}_output_data_{name}/versions/1", "type": output["jobOutputType"]}
        for name, output in _outputs(state, run_id).items()
    }
    return json_response(
        {"runMetadata": run_content(state, run) | {"outputs": outputs}, "runDefinition": run.definition}
    )


def resolve(state: State, request: Request, parameters: Parameters) -> Response:
    """The addresses of the data with these ids."""
    values = {}
    for asset in request.json().get("values") or ():
        found = _ID.fullmatch(asset)
        output = _outputs(state, found["run"]).get(found["name"]) if found else None
        if output is None:
            raise ApiError(404, "UserError", f"there is no data {asset!r}")
        values[asset] = {"uri": output["uri"], "type": _TYPES.get(output["jobOutputType"], "UriFolder")}
    return json_response({"values": values})


def _outputs(state: State, run_id: str) -> dict[str, Any]:
    sent = next((job.definition for job in state.jobs if job.run_id == run_id), {})
    return output_addresses(sent.get("properties") or {}, run_id)


ROUTES = (
    Route("POST", f"/history/v1.0{SCOPE}/rundata", for_job_or_user(get_run_data)),
    Route("POST", f"/data/v1.0{SCOPE}/dataversion/batchGetResolvedUris", for_job_or_user(resolve)),
)
