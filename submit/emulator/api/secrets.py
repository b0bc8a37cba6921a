"""Secrets: the key vault of the workspace, in memory."""

from typing import Any

from submit.emulator.auth import Parameters, for_job_or_user, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import SCOPE


def put(state: State, request: Request, parameters: Parameters) -> Response:
    _keep(state, request.json())
    return Response(200)


def put_many(state: State, request: Request, parameters: Parameters) -> Response:
    for secret in request.json()["secrets"]:
        _keep(state, secret)
    return Response(200)


def get(state: State, request: Request, parameters: Parameters) -> Response:
    if parameters["secret"] not in state.secrets:
        raise ApiError(404, "SecretNotFound", f"the key vault has no secret {parameters['secret']!r}")
    return json_response(state.secrets[parameters["secret"]])


def get_many(state: State, request: Request, parameters: Parameters) -> Response:
    """The secrets that there are, and the names of the others."""
    names = [secret["name"] for secret in request.json()["secrets"]]
    found = [state.secrets[name] for name in names if name in state.secrets]
    return json_response({"secrets": found, "notFoundSecrets": [name for name in names if name not in state.secrets]})


def list_names(state: State, request: Request, parameters: Parameters) -> Response:
    names = [{"name": name} for name in state.secrets]
    return json_response({"value": names, "continuationToken": None, "nextLink": None})


def delete(state: State, request: Request, parameters: Parameters) -> Response:
    state.secrets.pop(parameters["secret"], None)
    return Response(200)


def _keep(state: State, secret: dict[str, Any]) -> None:
    state.secrets[secret["name"]] = secret


_SECRETS = f"/credential/v2.0{SCOPE}/secrets"
ROUTES = (
    Route("PUT", _SECRETS, for_user(put)),
    Route("PUT", f"{_SECRETS}:putbatch", for_user(put_many)),
    Route("POST", f"{_SECRETS}:getbatch", for_job_or_user(get_many)),
    Route("GET", _SECRETS, for_user(list_names)),
    Route("GET", f"{_SECRETS}/{{secret}}", for_job_or_user(get)),
    Route("DELETE", f"{_SECRETS}/{{secret}}", for_user(delete)),
)
