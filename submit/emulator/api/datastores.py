"""Datastores: the workspace's own one, which has content, and registered ones, of which the service keeps the names."""

from typing import Any

from submit.emulator.auth import Parameters, for_job_or_user, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import BLOB_HOST, DATASTORE, DATASTORE_CONTAINER, SCOPE

_ACCOUNT, _, _ENDPOINT = BLOB_HOST.split(".", 2)
_SIGNATURE = "?sv=2019-07-07&sr=c&sig=emulator&se=2099-01-01T00%3A00%3A00Z&sp=rwl"


def get(state: State, request: Request, parameters: Parameters) -> Response:
    """A datastore by its name, or the default one."""
    return json_response(_known(state, parameters.get("datastore", DATASTORE)))


def list_all(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response({"value": [_own(), *state.datastores.values()], "continuationToken": None})


def register(state: State, request: Request, parameters: Parameters) -> Response:
    """Keeps what the client says of a datastore. Its content isn't emulated: its account is another host."""
    content = request.json()
    overwrite = str(request.query.get("overwrite", "")).lower() == "true"
    if content["name"] == DATASTORE or (content["name"] in state.datastores and not overwrite):
        raise ApiError(409, "UserError", f"Another datastore already exists with name {content['name']!r}.")
    state.datastores[content["name"]] = content | {"hasBeenValidated": True}
    return json_response(state.datastores[content["name"]])


def unregister(state: State, request: Request, parameters: Parameters) -> Response:
    if parameters["datastore"] == DATASTORE:
        raise ApiError(400, "UserError", f"the workspace's own datastore {DATASTORE!r} can't be unregistered")
    _known(state, parameters["datastore"])
    del state.datastores[parameters["datastore"]]
    return Response(200)


def set_default(state: State, request: Request, parameters: Parameters) -> Response:
    """Only the workspace's own datastore has content, and so it stays the default one."""
    if _known(state, parameters["datastore"])["name"] != DATASTORE:
        raise ApiError(400, "UserError", f"only {DATASTORE!r} has content here, so it stays the default datastore")
    return Response(200)


def _known(state: State, name: str) -> dict[str, Any]:
    if name == DATASTORE:
        return _own()
    if name not in state.datastores:
        raise ApiError(404, "UserError", f"Could not find datastore {name}")
    return state.datastores[name]


def _own() -> dict[str, Any]:
    return {
        "name": DATASTORE,
        "dataStoreType": "AzureBlob",
        "hasBeenValidated": True,
        "tags": {},
        "azureStorageSection": {
            "accountName": _ACCOUNT,
            "containerName": DATASTORE_CONTAINER,
            "endpoint": _ENDPOINT,
            "protocol": "https",
            "credentialType": "Sas",
            "credential": _SIGNATURE,
            "sasToken": _SIGNATURE,
            "isSas": True,
        },
    }


_DATASTORE = f"/datastore/v1.0{SCOPE}"
ROUTES = (
    Route("GET", f"{_DATASTORE}/default", for_job_or_user(get)),
    Route("PUT", f"{_DATASTORE}/default/{{datastore}}", for_user(set_default)),
    Route("GET", f"{_DATASTORE}/datastores", for_job_or_user(list_all)),
    Route("POST", f"{_DATASTORE}/datastores", for_user(register)),
    Route("GET", f"{_DATASTORE}/datastores/{{datastore}}", for_job_or_user(get)),
    Route("DELETE", f"{_DATASTORE}/datastores/{{datastore}}", for_user(unregister)),
)
