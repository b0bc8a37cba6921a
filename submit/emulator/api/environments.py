"""Environments by name: those that Azure or somebody else has put into the workspace."""

from typing import Any

from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import SCOPE


def list_all(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response({"value": [versions[-1] for versions in state.environments.values()], "nextLink": None})


def get(state: State, request: Request, parameters: Parameters) -> Response:
    """A version, or the last one."""
    for definition in reversed(state.environments.get(parameters["environment"], [])):
        if parameters.get("version", definition["version"]) == definition["version"]:
            return json_response(definition)
    raise ApiError(404, "UserError", f"there is no environment {parameters['environment']!r}")


def register(state: State, request: Request, parameters: Parameters) -> Response:
    """A new version; the client writes some names with a capital, which it doesn't understand itself."""
    content = {name[0].lower() + name[1:]: value for name, value in request.json().items()}
    return json_response(add(state, parameters["environment"], content))


def add(state: State, name: str, content: dict[str, Any]) -> dict[str, Any]:
    versions = state.environments.setdefault(name, [])
    versions.append(content | {"name": name, "version": str(len(versions) + 1)})
    return versions[-1]


def image_content(image: str) -> dict[str, Any]:
    """An environment that is an image and nothing else, as those are that Azure provides."""
    return {
        "environmentVariables": {},
        "python": {"userManagedDependencies": True, "interpreterPath": "python", "condaDependencies": None},
        "docker": {"enabled": False, "baseImage": image, "sharedVolumes": True, "arguments": []},
    }


_ENVIRONMENT = f"/environment/v1.0{SCOPE}/environments"
ROUTES = (
    Route("GET", f"{_ENVIRONMENT}/", for_user(list_all)),
    Route("GET", f"{_ENVIRONMENT}/{{environment}}", for_user(get)),
    Route("GET", f"{_ENVIRONMENT}/{{environment}}/versions/{{version}}", for_user(get)),
    Route("PUT", f"{_ENVIRONMENT}/{{environment}}", for_user(register)),
)
