"""Environments by name: those that Azure or somebody else has put into the workspace."""

from typing import Any
from urllib.parse import quote

from submit.emulator.auth import Parameters, for_job_or_user, for_user
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
    """A new version, or the one in the address; an existing version never changes.

    The client writes some names with a capital, which it doesn't understand itself.
    """
    content = {name[0].lower() + name[1:]: value for name, value in request.json().items()}
    name, version = parameters["environment"], parameters.get("version")
    known = [each for each in state.environments.get(name, []) if each["version"] == version]
    if not known:
        return json_response(add(state, name, content, version))
    if known[0] != known[0] | content:
        raise ApiError(409, "UserError", f"environment {name!r} has a version {version} with other content")
    return json_response(known[0])


def add(state: State, name: str, content: dict[str, Any], version: str | None = None) -> dict[str, Any]:
    versions = state.environments.setdefault(name, [])
    latest = max((int(each["version"]) for each in versions if each["version"].isdecimal()), default=0)
    versions.append(content | {"name": name, "version": version or str(latest + 1)})
    return versions[-1]


def with_version(state: State, configuration: dict[str, Any]) -> dict[str, Any]:
    """A job's configuration with the version of its environment, which is registered if there is none like it."""
    brought = configuration.get("environment")
    if not brought or not brought.get("name") or brought.get("version"):
        return configuration
    content = {name: value for name, value in brought.items() if name not in ("name", "version")}
    alike = (
        known
        for known in state.environments.get(brought["name"], [])
        if all(known.get(name) == value for name, value in content.items())
    )
    version = (next(alike, None) or add(state, brought["name"], content))["version"]
    return configuration | {"environment": brought | {"version": version}}


def build(state: State, request: Request, parameters: Parameters) -> Response:
    """Nothing is built: jobs run in this machine's Python."""
    get(state, request, parameters)  # raises if there is none
    name, version = parameters["environment"], parameters["version"]
    return json_response({"location": f"{state.url}{_IMAGES}/{quote(name, safe='')}/{version}"}, 202)


def get_build(state: State, request: Request, parameters: Parameters) -> Response:
    return json_response({"status": "Succeeded", "logUrl": None})


def image_content(image: str) -> dict[str, Any]:
    """An environment that is an image and nothing else, as those are that Azure provides."""
    return {
        "environmentVariables": {},
        "python": {"userManagedDependencies": True, "interpreterPath": "python", "condaDependencies": None},
        "docker": {"enabled": False, "baseImage": image, "sharedVolumes": True, "arguments": []},
    }


_BUILDS = f"/environment/v2.0{SCOPE}/environments"
_IMAGES = f"/environment/v2.0{SCOPE}/builds"
_ENVIRONMENT = f"/environment/v1.0{SCOPE}/environments"
ROUTES = (
    Route("GET", f"{_ENVIRONMENT}/", for_user(list_all)),
    Route("GET", f"{_ENVIRONMENT}/{{environment}}", for_job_or_user(get)),
    Route("GET", f"{_ENVIRONMENT}/{{environment}}/versions/{{version}}", for_job_or_user(get)),
    Route("PUT", f"{_ENVIRONMENT}/{{environment}}", for_user(register)),
    Route("PUT", f"{_ENVIRONMENT}/{{environment}}/versions/{{version}}", for_user(register)),
    Route("POST", f"{_BUILDS}/{{environment}}/versions/{{version}}/image", for_user(build)),
    Route("POST", f"{_BUILDS}/{{environment}}/versions/{{version}}/imageoncompute/{{compute}}", for_user(build)),
    Route("GET", f"{_IMAGES}/{{environment}}/{{version}}", for_user(get_build)),
)
