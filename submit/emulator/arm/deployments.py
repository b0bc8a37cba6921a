"""Deployments of managed online endpoints: they are created, changed, read, listed and deleted. No machine starts."""

import time
from typing import Any

from submit.emulator import datetimes, limits
from submit.emulator.arm import code, environments, models, operations, versions
from submit.emulator.arm.endpoints import ENDPOINT, check_name, find, only_known
from submit.emulator.arm.resources import known, page, properties_of, resource, version_in
from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.online import OnlineDeployment, OnlineEndpoint
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import LOCATION

TYPES = ("Managed",)
_SCALE = {"scaleType": "Default"}  # what the service says where nothing was sent: as many machines as the sku says
_SENT = (
    *("endpointComputeType", "codeConfiguration", "model", "environmentId", "instanceType", "environmentVariables"),
    *("description", "properties", "provisioningState", "scaleSettings"),
)
_EMPTY = (
    *("appInsightsEnabled", "requestSettings", "livenessProbe", "readinessProbe", "modelMountPath"),
    *("egressPublicNetworkAccess", "dataCollector"),
)


def create(state: State, request: Request, parameters: Parameters) -> Response:
    """Creates a deployment, or replaces one; its endpoint sends it nothing until it is given traffic."""
    endpoint, name, properties = find(state, parameters), parameters["deployment"], properties_of(request)
    check_name(name, "deployment")
    only_known(properties, _SENT, _EMPTY)
    known(properties.get("endpointComputeType"), TYPES, "endpointComputeType")
    scale = properties.get("scaleSettings") or _SCALE
    known(scale.get("scaleType"), (_SCALE["scaleType"],), "scaleType")
    body = request.json()
    limits.check_labels("tags", body.get("tags") or {})
    if not properties.get("instanceType"):
        raise ApiError(400, "UserError", "the deployment has no instanceType")
    capacity = (body.get("sku") or {}).get("capacity")
    if not isinstance(capacity, int) or capacity < 1:
        raise ApiError(400, "UserError", f"sku.capacity {capacity!r}: expected a number of machines")
    environments.find(state, str(properties.get("environmentId")))
    _check_model(state, str(properties.get("model")))
    files = _files(state, properties.get("codeConfiguration") or {})
    there = endpoint.deployments.get(name)
    ready = time.monotonic() + state.creation_seconds
    created = there.created if there else datetimes.now()
    deployment = OnlineDeployment(name, body, files, created, ready)
    endpoint.deployments[name] = deployment
    return operations.begun(state, _content(endpoint, deployment), 200 if there else 201, ready)


def get(state: State, request: Request, parameters: Parameters) -> Response:
    endpoint = find(state, parameters)
    return json_response(_content(endpoint, _known(endpoint, parameters)))


def list_all(state: State, request: Request, parameters: Parameters) -> Response:
    endpoint = find(state, parameters)
    return page(request, [_content(endpoint, deployment) for deployment in endpoint.deployments.values()])


def delete(state: State, request: Request, parameters: Parameters) -> Response:
    """Deletes a deployment that gets no requests."""
    endpoint = find(state, parameters)
    name = _known(endpoint, parameters).name
    if share := endpoint.traffic.get(name):
        raise ApiError(400, "UserError", f"the deployment {name!r} has {share} % of the traffic; set it to 0 first")
    del endpoint.deployments[name]
    endpoint.traffic.pop(name, None)
    return operations.begun(state, {}, 202, time.monotonic())


def _known(endpoint: OnlineEndpoint, parameters: Parameters) -> OnlineDeployment:
    name = parameters["deployment"]
    if name not in endpoint.deployments:
        raise ApiError(404, "ResourceNotFound", f"the endpoint {endpoint.name!r} has no deployment {name!r}")
    return endpoint.deployments[name]


def _check_model(state: State, model_id: str) -> None:
    found = version_in(model_id, models.MODELS.plural)
    if found is None:
        raise ApiError(400, "UserError", f"model {model_id!r}: expected the id of a version of a model")
    versions.find(models.MODELS, state, *found)


def _files(state: State, configuration: dict[str, Any]) -> dict[str, bytes]:
    """The files of the scoring code, which has the scoring script."""
    code_id, script = str(configuration.get("codeId")), configuration.get("scoringScript")
    found = version_in(code_id, code.CODES.plural)
    if found is None:
        raise ApiError(400, "UserError", f"codeId {code_id!r}: expected the id of a version of code")
    files = code.files(state, versions.find(code.CODES, state, *found))
    if script not in files:
        raise ApiError(400, "UserError", f"scoringScript {script!r} isn't among the files of the code")
    return files


def _content(endpoint: OnlineEndpoint, deployment: OnlineDeployment) -> dict[str, Any]:
    state = {"provisioningState": operations.provisioning(deployment.ready), "scaleSettings": _SCALE}
    path = f"onlineEndpoints/{endpoint.name}/deployments/{deployment.name}"
    content = resource(path, deployment.content["properties"] | state, deployment.created)
    further = {"location": LOCATION, "kind": "Managed", "tags": deployment.content.get("tags") or {}}
    return content | further | {"sku": deployment.content["sku"]}


_DEPLOYMENT = f"{ENDPOINT}/deployments/{{deployment}}"
ROUTES = (
    Route("GET", f"{ENDPOINT}/deployments", for_user(list_all)),
    Route("GET", _DEPLOYMENT, for_user(get)),
    Route("PUT", _DEPLOYMENT, for_user(create)),
    Route("DELETE", _DEPLOYMENT, for_user(delete)),
)
