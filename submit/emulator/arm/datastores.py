"""Datastores: the workspace's own two, and those that a client of SDK v1 has registered."""

import base64
from typing import Any

from submit.emulator.arm.resources import page, resource
from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import (
    ARTIFACT_STORE,
    BLOB_CONTAINER,
    BLOB_HOST,
    DATASTORE,
    DATASTORE_CONTAINER,
    SCOPE,
)

_ACCOUNT, _, _ENDPOINT = BLOB_HOST.split(".", 2)
# Not a signature: azure-ai-ml signs the addresses of logs with what it gets here, which works with a key only.
_KEY = base64.b64encode(b"the key of the emulator's account").decode()
_OWN = {DATASTORE: DATASTORE_CONTAINER, ARTIFACT_STORE: BLOB_CONTAINER}


def list_all(state: State, request: Request, parameters: Parameters) -> Response:
    is_default = request.query.get("isDefault", "").lower() == "true"
    names = [DATASTORE] if is_default else [*_OWN, *state.datastores]
    return page(request, [_content(state, name) for name in names])


def get(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response(_content(state, parameters["datastore"]))


def list_secrets(state: State, request: Request, parameters: Parameters) -> Response:
    """The key of the account; the emulator doesn't check what is signed with it."""
    _content(state, parameters["datastore"])
    return json_response({"secretsType": "AccountKey", "key": _KEY})


def _content(state: State, name: str) -> dict[str, Any]:
    section = {"accountName": _ACCOUNT, "containerName": _OWN.get(name)}
    if name in state.datastores:
        section = state.datastores[name].get("azureStorageSection") or {}
    elif name not in _OWN:
        raise ApiError(404, "ResourceNotFound", f"the workspace has no datastore {name!r}")
    properties = {
        "datastoreType": "AzureBlob",
        "accountName": section.get("accountName"),
        "containerName": section.get("containerName"),
        "endpoint": section.get("endpoint") or _ENDPOINT,
        "protocol": "https",
        "isDefault": name == DATASTORE,
        "credentials": {"credentialsType": "AccountKey"},
        "tags": {},
        "properties": {},
    }
    return resource(f"datastores/{name}", properties, state.started)


_DATASTORES = f"{SCOPE}/datastores"
ROUTES = (
    Route("GET", _DATASTORES, for_user(list_all)),
    Route("GET", f"{_DATASTORES}/{{datastore}}", for_user(get)),
    Route("POST", f"{_DATASTORES}/{{datastore}}/listSecrets", for_user(list_secrets)),
)
