"""Managed online endpoints: they are created, changed, read, listed and deleted; nothing answers at them."""

import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from submit.emulator import datetimes, limits
from submit.emulator.arm import operations
from submit.emulator.arm.resources import known, page, properties_of, resource
from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.online import OnlineEndpoint
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import LOCATION, SCOPE

AUTH_MODES = ("Key", "AMLToken", "AADToken")
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{1,30}[a-zA-Z0-9]")
_SENT = (
    "authMode",
    "description",
    "properties",
    "traffic",
    "publicNetworkAccess",
)
_PUBLIC = "Enabled"
_READ_ONLY = ("provisioningState", "scoringUri", "swaggerUri")  # a client sends back what it has read
_EMPTY = ("keys", "compute", "mirrorTraffic")


def create(state: State, request: Request, parameters: Parameters) -> Response:
    """Creates an endpoint without deployments, or changes its traffic, its description and its tags."""
    name, body, properties = parameters["endpoint"], request.json(), properties_of(request)
    check_name(name, "endpoint")
    only_known(properties, (*_SENT, *_READ_ONLY), _EMPTY)
    known(properties.get("authMode"), AUTH_MODES, "authMode")
    known(properties.get("publicNetworkAccess") or _PUBLIC, (_PUBLIC,), "publicNetworkAccess")
    tags, traffic = body.get("tags") or {}, properties.get("traffic") or {}
    limits.check_labels("tags", tags)
    there = state.endpoints.get(name)
    if there is not None and there.auth_mode != properties["authMode"]:
        raise ApiError(400, "UserError", f"authMode of {name!r} is {there.auth_mode} and can't be changed")
    _check_traffic(traffic, {} if there is None else there.deployments)
    endpoint = there or OnlineEndpoint(name, properties["authMode"], datetimes.now(), 0.0, (_key(), _key()))
    endpoint.ready = time.monotonic() + state.creation_seconds
    endpoint.description, endpoint.tags, endpoint.traffic = properties.get("description"), tags, dict(traffic)
    endpoint.properties = properties.get("properties") or {}
    state.endpoints[name] = endpoint
    return operations.begun(state, _content(endpoint), 200 if there else 201, endpoint.ready)


def get(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response(_content(find(state, parameters)))


def list_all(state: State, request: Request, parameters: Parameters) -> Response:
    return page(request, [_content(endpoint) for endpoint in state.endpoints.values()])


def list_keys(state: State, request: Request, parameters: Parameters) -> Response:
    endpoint = find(state, parameters)
    if endpoint.auth_mode != "Key":
        raise ApiError(400, "UserError", f"the endpoint {endpoint.name!r} has no keys: its authMode is not Key")
    primary, secondary = endpoint.keys
    return json_response({"primaryKey": primary, "secondaryKey": secondary})


def delete(state: State, request: Request, parameters: Parameters) -> Response:
    """Deletes an endpoint with all its deployments."""
    del state.endpoints[find(state, parameters).name]
    return operations.begun(state, {}, 202, time.monotonic())


def find(state: State, parameters: Parameters) -> OnlineEndpoint:
    """The endpoint of an address.

    Raises:
        ApiError: There is none.
    """
    if parameters["endpoint"] not in state.endpoints:
        raise ApiError(404, "ResourceNotFound", f"the workspace has no online endpoint {parameters['endpoint']!r}")
    return state.endpoints[parameters["endpoint"]]


def check_name(name: str, what: str) -> None:
    """Raises ApiError for a name that no endpoint and no deployment can have."""
    if not _NAME.fullmatch(name):
        raise ApiError(
            400,
            "UserError",
            f"the name of the {what}, {name!r}: expected 3 to 32 letters, digits and hyphens, the first a letter",
        )


def only_known(properties: Mapping[str, Any], names: tuple[str, ...], empty: tuple[str, ...]) -> None:
    """Raises ApiError for a property that isn't emulated, and has a value."""
    for name, value in properties.items():
        if name not in names and (name not in empty or value):
            raise ApiError(400, "UserError", f"property {name!r} isn't emulated; expected {', '.join(names)}")


def _check_traffic(traffic: Mapping[str, Any], deployments: Mapping[str, Any]) -> None:
    for name, share in traffic.items():
        if name not in deployments:
            raise ApiError(400, "UserError", f"traffic: the endpoint has no deployment {name!r}")
        if not isinstance(share, int) or not 0 <= share <= 100:
            raise ApiError(400, "UserError", f"traffic of {name!r} is {share!r}; expected a number from 0 to 100")
    if sum(traffic.values()) not in (0, 100):
        raise ApiError(400, "UserError", f"traffic has the sum {sum(traffic.values())}; expected 100, or 0")


def _key() -> str:
    return secrets.token_urlsafe(24)


def _content(endpoint: OnlineEndpoint) -> dict[str, Any]:
    address = f"https://{endpoint.name}.{LOCATION}.inference.ml.azure.com"
    properties = {
        "authMode": endpoint.auth_mode,
        "description": endpoint.description,
        "properties": endpoint.properties,
        "traffic": endpoint.traffic,
        "mirrorTraffic": {},
        "publicNetworkAccess": _PUBLIC,
        "provisioningState": operations.provisioning(endpoint.ready),
        "scoringUri": f"{address}/score",
        "swaggerUri": f"{address}/swagger.json",
    }
    content = resource(f"onlineEndpoints/{endpoint.name}", properties, endpoint.created)
    return content | {"location": LOCATION, "kind": "Managed", "tags": endpoint.tags}


ENDPOINT = f"{SCOPE}/onlineEndpoints/{{endpoint}}"
ROUTES = (
    Route("GET", f"{SCOPE}/onlineEndpoints", for_user(list_all)),
    Route("GET", ENDPOINT, for_user(get)),
    Route("PUT", ENDPOINT, for_user(create)),
    Route("DELETE", ENDPOINT, for_user(delete)),
    Route("POST", f"{ENDPOINT}/listKeys", for_user(list_keys)),
)
