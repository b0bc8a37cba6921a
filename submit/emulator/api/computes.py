"""Computes: clusters, as the resource manager makes them and the workspace shows them."""

import re
import time
from typing import Any

from submit.emulator import datetimes
from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import Compute, State
from submit.emulator.workspace import LOCATION, OPERATIONS, RESOURCE_MANAGER_HOST, SCOPE

_QUOTA = (
    "The specified subscription has a {size} vCPU quota of 0 and cannot accommodate for at least 1 requested managed "
    "compute node which maps to {cores} vCPUs. Talk to your Subscription Admin to increase the quota."
)


def list_all(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response({"value": [_content(compute) for compute in state.computes.values()]})


def get(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response(_content(_known(state, parameters)))


def create(state: State, request: Request, parameters: Parameters) -> Response:
    """Creates a cluster, which is ready after ``State.creation_seconds``; refused while a fault denies quota."""
    wanted = request.json()["properties"]["properties"]
    size = wanted["vmSize"]
    if state.faults.denies_quota():
        cores = re.search(r"_[A-Z]+(\d+)", size)
        message = _QUOTA.format(size=size, cores=cores[1] if cores else "?")
        raise ApiError(400, "BadRequest", message)
    known = state.computes.get(parameters["compute"])
    if known is not None and known.vm_size.lower() != size.lower():
        raise ApiError(400, "BadRequest", f"vmSize of {known.name} is {known.vm_size} and can't be changed")
    compute = known or Compute(
        parameters["compute"], size, 0, datetimes.now(), ready=time.monotonic() + state.creation_seconds
    )
    compute.priority = wanted.get("vmPriority", compute.priority)
    _scale(compute, wanted["scaleSettings"])
    state.computes[compute.name] = compute
    return _begun(compute.name, _content(compute), 200 if known else 201)


def update(state: State, request: Request, parameters: Parameters) -> Response:
    compute = _known(state, parameters)
    _scale(compute, request.json()["properties"]["properties"]["scaleSettings"])
    return json_response(_content(compute))


def delete(state: State, request: Request, parameters: Parameters) -> Response:
    return _begun(state.computes.pop(_known(state, parameters).name).name, {}, 202)


def list_nodes(state: State, request: Request, parameters: Parameters) -> Response:
    """The nodes that there are: the minimum, because jobs run without nodes."""
    compute = _known(state, parameters)
    count = compute.min_nodes if compute.current_nodes is None else compute.current_nodes
    nodes = [
        {"nodeId": f"node{number}", "privateIpAddress": f"10.0.0.{4 + number}", "port": 50000, "nodeState": "idle"}
        for number in range(count)
    ]
    return json_response({"nodes": nodes})


def get_operation(state: State, request: Request, parameters: Parameters) -> Response:
    """An operation on a compute has succeeded when the compute isn't being created any more."""
    compute = state.computes.get(parameters["compute"])
    return json_response({"status": "InProgress" if compute and _is_in_creation(compute) else "Succeeded"})


def _known(state: State, parameters: Parameters) -> Compute:
    if parameters["compute"] not in state.computes:
        raise ApiError(404, "NotFound", f"there is no compute {parameters['compute']!r}")
    return state.computes[parameters["compute"]]


def _scale(compute: Compute, settings: dict[str, Any]) -> None:
    compute.min_nodes, compute.max_nodes = settings["minNodeCount"], settings["maxNodeCount"]
    compute.idle_time = settings.get("nodeIdleTimeBeforeScaleDown") or compute.idle_time


def _is_in_creation(compute: Compute) -> bool:
    return time.monotonic() < compute.ready


def _begun(name: str, content: dict[str, Any], status: int) -> Response:
    response = json_response(content, status)
    address = f"https://{RESOURCE_MANAGER_HOST}{OPERATIONS}/computeOperationsStatus/{name}?api-version=2020-02-02"
    return Response(status, response.body, {**response.headers, "Azure-AsyncOperation": address})


def _content(compute: Compute) -> dict[str, Any]:
    created, errors = datetimes.to_iso(compute.created), _errors(compute)
    return {
        "id": f"{SCOPE}/computes/{compute.name}",
        "name": compute.name,
        "type": "Microsoft.MachineLearningServices/workspaces/computes",
        "location": LOCATION,
        "tags": {},
        "properties": {
            "computeType": compute.compute_type,
            "computeLocation": LOCATION,
            "description": None,
            "resourceId": None,
            "isAttachedCompute": False,
            "provisioningState": compute.provisioning_state
            or ("Creating" if _is_in_creation(compute) else "Succeeded"),
            "provisioningErrors": errors if compute.provisioning_state == "Failed" else None,
            "createdOn": created,
            "modifiedOn": created,
            "properties": _cluster(compute),
        },
    }


def _cluster(compute: Compute) -> dict[str, Any]:
    """The number of nodes is the minimum: the emulator doesn't count nodes that run jobs."""
    return {
        "vmSize": compute.vm_size,
        "vmPriority": compute.priority,
        "scaleSettings": {
            "minNodeCount": compute.min_nodes,
            "maxNodeCount": compute.max_nodes,
            "nodeIdleTimeBeforeScaleDown": compute.idle_time,
        },
        "subnet": None,
        "currentNodeCount": compute.min_nodes if compute.current_nodes is None else compute.current_nodes,
        "targetNodeCount": compute.min_nodes,
        "allocationState": "Steady",
        "errors": _errors(compute) or None,
    }


def _errors(compute: Compute) -> list[dict[str, Any]]:
    return [{"error": {"code": "ComputeError", "message": text}} for text in compute.errors]


_RESOURCES = f"/rp/workspaces{SCOPE}"
_COMPUTE = f"{SCOPE}/computes/{{compute}}"
ROUTES = (
    Route("GET", f"{_RESOURCES}/computes", for_user(list_all)),
    Route("GET", f"{_RESOURCES}/computes/{{compute}}", for_user(get)),
)
RESOURCE_MANAGER_ROUTES = (
    Route("GET", f"{OPERATIONS}/computeOperationsStatus/{{compute}}", for_user(get_operation)),
    Route("GET", f"{SCOPE}/computes", for_user(list_all)),
    Route("GET", _COMPUTE, for_user(get)),
    Route("PUT", _COMPUTE, for_user(create)),
    Route("PATCH", _COMPUTE, for_user(update)),
    Route("DELETE", _COMPUTE, for_user(delete)),
    Route("POST", f"{_COMPUTE}/listNodes", for_user(list_nodes)),
)
