"""What all handlers of the MLflow interface have in common: the run that a request names, and how errors look."""

import json
from typing import Any

from submit.emulator.auth import Handler, Parameters, RunHandler, for_run
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.state import State
from submit.emulator.workspace import SCOPE

API = f"/mlflow/v2.0{SCOPE}/api/2.0/mlflow"
_CODES = {400: "INVALID_PARAMETER_VALUE", 401: "UNAUTHENTICATED", 404: "RESOURCE_DOES_NOT_EXIST"}


def for_mlflow(handler: Handler) -> Handler:
    """Errors have the form that MLflow's client reads, beside that of Azure ML's."""

    def handled(state: State, request: Request, parameters: Parameters) -> Response:
        try:
            return handler(state, request, parameters)
        except ApiError as refusal:
            content = json.loads(refusal.response.body)
            status = refusal.response.status
            code = _CODES.get(status, "INTERNAL_ERROR")
            return json_response(content | {"error_code": code, "message": content["error"]["message"]}, status)

    return handled


def for_named_run(handler: RunHandler, *, reads: bool = False) -> Handler:
    """Passes the run that the query or the body names; the token is checked as by ``for_run``."""

    def named(state: State, request: Request, parameters: Parameters) -> Response:
        content = request.query if request.method == "GET" else body(request)
        run_id = content.get("run_id") or content.get("run_uuid")
        if not run_id:
            raise ApiError(400, "BadArgument", "the request names no run_id")
        return for_run(handler, reads=reads)(state, request, {**parameters, "run": str(run_id)})

    return for_mlflow(named)


def body(request: Request) -> dict[str, Any]:
    """The content of a request.

    Raises:
        ApiError: It is no object.
    """
    content = request.json()
    if not isinstance(content, dict):
        raise ApiError(400, "BadArgument", "the body isn't a JSON object")
    return content


def labels(entries: Any, what: str) -> dict[str, str]:
    """Tags or parameters by their keys.

    Raises:
        ApiError: They are none.
    """
    try:
        return {str(entry["key"]): str(entry["value"]) for entry in entries or ()}
    except (KeyError, TypeError) as mistake:
        raise ApiError(400, "BadArgument", f"{what}: expected a list of keys and values") from mistake
