"""Environments: those of the workspace, which both SDKs see, and those of Azure's registry.

An environment is a definition in the form of SDK v1, as ``api.environments`` keeps it. What SDK v2 has said of it is
in the definition's ``v2``.
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from submit.emulator import datetimes
from submit.emulator.api import environments
from submit.emulator.arm import versions
from submit.emulator.arm.resources import page, resource, version_in
from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import AssetVersion, State
from submit.emulator.workspace import REGISTRY, REGISTRY_GROUP, REGISTRY_SUBSCRIPTION, WORKSPACE

_IN_REGISTRY = re.compile(
    rf"azureml://registries/{REGISTRY}/environments/(?P<name>[^/]+)/(?P<how>versions|labels)/(?P<which>[^/]+)"
)
_LATEST = "latest"


class Environments:
    plural, singular = "environments", "environment"

    def names(self, state: State) -> Sequence[str]:
        return list(state.environments)

    def versions(self, state: State, name: str) -> Sequence[AssetVersion]:
        return [
            AssetVersion(name, definition["version"], _properties(definition), state.started)
            for definition in state.environments.get(name, [])
        ]

    def add(self, state: State, version: AssetVersion) -> None:
        definitions = state.environments.setdefault(version.name, [])
        new = _definition(version.properties) | {"name": version.name, "version": version.version}
        for number, known in enumerate(definitions):
            if known["version"] == version.version:
                definitions[number] = new
                return
        definitions.append(new)


ENVIRONMENTS = Environments()


def find(state: State, environment_id: str) -> AssetVersion:
    """An environment by what a job says: an id of the workspace or of the registry, or ``azureml:NAME:VERSION``.

    Raises:
        ApiError: There is no such environment.
    """
    in_registry = _IN_REGISTRY.fullmatch(environment_id)
    if in_registry:
        return _in_registry(state, in_registry["name"], in_registry["how"], in_registry["which"])
    found = version_in(environment_id, ENVIRONMENTS.plural)
    if found is not None:
        return versions.find(ENVIRONMENTS, state, *found)
    name, at, label = environment_id.removeprefix("azureml:").partition("@")
    known = ENVIRONMENTS.versions(state, name)
    if not at or label != _LATEST or not known:
        raise ApiError(404, "UserError", f"environmentId {environment_id!r}: workspace {WORKSPACE} has none like it")
    return known[-1]


def _in_registry(state: State, name: str, how: str, which: str) -> AssetVersion:
    known = state.registry_environments.get(name, [])
    latest = how == "labels" and which == _LATEST
    for version in reversed(known):
        if latest or (how == "versions" and version.version == which):
            return version
    there = ", ".join(version.version for version in known) or "no version"
    message = f"registry {REGISTRY!r} has no environment {name!r} with {how[:-1]} {which!r}; it has {there}"
    raise ApiError(404, "UserError", message)


def add_to_registry(state: State, name: str, image: str, version: str | None = None) -> None:
    known = state.registry_environments.setdefault(name, [])
    number = version or versions.next_version(known)
    known.append(AssetVersion(name, number, {"image": image, "osType": "Linux"}, datetimes.now()))


def _properties(definition: dict[str, Any]) -> dict[str, Any]:
    """An environment as SDK v2 reads it."""
    if "v2" in definition:
        return dict(definition["v2"])
    python, docker = definition.get("python") or {}, definition.get("docker") or {}
    found: dict[str, Any] = {"osType": "Linux", "image": docker.get("baseImage")}
    if not python.get("userManagedDependencies") and python.get("condaDependencies"):
        found["condaFile"] = yaml.safe_dump(python["condaDependencies"], sort_keys=False)
    return found


def _definition(properties: dict[str, Any]) -> dict[str, Any]:
    """An environment of SDK v2 as SDK v1 reads it; its build context is an address that v1 doesn't read."""
    definition = environments.image_content(str(properties.get("image") or ""))
    if properties.get("condaFile"):
        conda = yaml.safe_load(properties["condaFile"])
        definition["python"] |= {"userManagedDependencies": False, "condaDependencies": conda}
    return definition | {"v2": properties}


def list_in_registry(state: State, request: Request, parameters: Parameters) -> Response:
    known = state.registry_environments.get(parameters["name"], [])
    if "desc" in request.query.get("$orderBy", ""):
        known = known[::-1]
    return page(request, [_registry_content(version) for version in known])


def get_in_registry(state: State, request: Request, parameters: Parameters) -> Response:
    version = _in_registry(state, parameters["name"], "versions", parameters["version"])
    return json_response(_registry_content(version))


def get_name_in_registry(state: State, request: Request, parameters: Parameters) -> Response:
    latest = _in_registry(state, parameters["name"], "labels", _LATEST)
    content = _registry_content(latest)
    return json_response(content | {"name": latest.name, "properties": {"latestVersion": latest.version}})


def _registry_content(version: AssetVersion) -> dict[str, Any]:
    content = resource(f"environments/{version.name}/versions/{version.version}", version.properties, version.created)
    address = f"azureml://registries/{REGISTRY}/environments/{version.name}/versions/{version.version}"
    return content | {"id": address}


def discover_registry(state: State, request: Request, parameters: Parameters) -> Response:
    """Where the registry is."""
    if parameters["registry"] != REGISTRY:
        raise ApiError(404, "UserError", f"there is no registry {parameters['registry']!r}; expected {REGISTRY!r}")
    address = f"https://{request.host}/"
    return json_response(
        {
            "registryName": REGISTRY,
            "primaryRegionResourceProviderUri": address,
            "resourceGroup": REGISTRY_GROUP,
            "subscriptionId": REGISTRY_SUBSCRIPTION,
        }
    )


_REGISTRY = (
    f"/mferp/managementfrontend/subscriptions/{REGISTRY_SUBSCRIPTION}/resourceGroups/{REGISTRY_GROUP}"
    f"/providers/Microsoft.MachineLearningServices/registries/{REGISTRY}/environments"
)
ROUTES = versions.routes(ENVIRONMENTS)
REGISTRY_ROUTES = (
    Route("GET", "/registrymanagement/v1.0/registries/{registry}/discovery", discover_registry),
    Route("GET", f"{_REGISTRY}/{{name}}/versions", for_user(list_in_registry)),
    Route("GET", f"{_REGISTRY}/{{name}}/versions/{{version}}", for_user(get_in_registry)),
    Route("GET", f"{_REGISTRY}/{{name}}", for_user(get_name_in_registry)),
)
