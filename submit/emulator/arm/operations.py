"""Operations of Azure ML that take a while: the client asks after them until they have ended."""

import time
import uuid
from typing import Any

from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import OPERATIONS, RESOURCE_MANAGER_HOST

_RETRY = {"Retry-After": "1"}  # seconds; without it the client waits 30
_PATH = f"{OPERATIONS}/mfeOperationsStatus"


def begun(state: State, content: Any, status: int, ready: float) -> Response:
    """The response to a request whose operation ends at a time of the monotonic clock."""
    operation = str(uuid.uuid4())
    state.operations[operation] = ready
    response = json_response(content, status)
    address = f"https://{RESOURCE_MANAGER_HOST}{_PATH}/{operation}?api-version=2022-02-01-preview"
    return Response(status, response.body, {**response.headers, **_RETRY, "Azure-AsyncOperation": address})


def get(state: State, request: Request, parameters: Parameters) -> Response:
    ready = state.operations.get(parameters["operation"])
    if ready is None:
        raise ApiError(404, "NotFound", f"there is no operation {parameters['operation']!r}")
    response = json_response({"id": request.path, "status": provisioning(ready, "InProgress")})
    return Response(response.status, response.body, {**response.headers, **_RETRY})


def provisioning(ready: float, meanwhile: str = "Creating") -> str:
    return "Succeeded" if time.monotonic() >= ready else meanwhile


ROUTES = (Route("GET", f"{_PATH}/{{operation}}", for_user(get)),)
