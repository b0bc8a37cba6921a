"""Assets with versions: the routes that all kinds of them have, and what each kind has to say for itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from submit.emulator import datetimes
from submit.emulator.arm.resources import page, properties_of, resource, views
from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import AssetVersion, State
from submit.emulator.workspace import SCOPE

_DETAILS = ("tags", "description", "isArchived", "properties", "stage")  # of a version, which may change later
_GIVEN = ("isAnonymous", "provisioningState")  # by the service, which a client sends back to archive a version


class Kind(Protocol):
    """A kind of asset, such as the environments of the workspace.

    ``plural`` is its name in addresses, ``singular`` in messages.
    """

    plural: str
    singular: str

    def names(self, state: State) -> Sequence[str]: ...

    def versions(self, state: State, name: str) -> Sequence[AssetVersion]:
        """Those of a name, in the order of their creation."""

    def add(self, state: State, version: AssetVersion) -> None:
        """Adds a version, or replaces the one with the same name and version."""


def find(kind: Kind, state: State, name: str, version: str) -> AssetVersion:
    """A version of an asset.

    Raises:
        ApiError: There is none.
    """
    for known in kind.versions(state, name):
        if known.version == version:
            return known
    raise ApiError(404, "ResourceNotFound", f"the workspace has no {kind.singular} {name!r} with version {version!r}")


def content(kind: Kind, version: AssetVersion) -> dict[str, Any]:
    path = f"{kind.plural}/{version.name}/versions/{version.version}"
    given = {"isAnonymous": False, "isArchived": False, "tags": {}, "properties": {}} | version.properties
    return resource(path, given | {"provisioningState": "Succeeded"}, version.created)


def routes(kind: Kind) -> tuple[Route, ...]:
    """Versions are created, read and listed; names are listed, and known by their latest and next version."""

    def list_versions(state: State, request: Request, parameters: Parameters) -> Response:
        found = _wanted_versions(kind, state, request, parameters["name"])
        return page(request, [content(kind, version) for version in found])

    def get_version(state: State, request: Request, parameters: Parameters) -> Response:
        return json_response(content(kind, find(kind, state, parameters["name"], parameters["version"])))

    def put_version(state: State, request: Request, parameters: Parameters) -> Response:
        name, number = parameters["name"], parameters["version"]
        properties = properties_of(request)
        same = [version for version in kind.versions(state, name) if version.version == number]
        if same and _identity(same[0].properties) != _identity(properties):
            message = f"the {kind.singular} {name!r} has a version {number!r} with other content, which can't change"
            raise ApiError(409, "UserError", message)
        created = same[0].created if same else datetimes.now()
        version = AssetVersion(name, number, properties, created)
        kind.add(state, version)
        return json_response(content(kind, find(kind, state, name, number)), 200 if same else 201)

    def list_names(state: State, request: Request, parameters: Parameters) -> Response:
        found = [_container(kind, state, name) for name in kind.names(state)]
        return page(request, [name for name in found if name["properties"]["isArchived"] in views(request)])

    def get_name(state: State, request: Request, parameters: Parameters) -> Response:
        if not kind.versions(state, parameters["name"]):
            raise ApiError(404, "ResourceNotFound", f"the workspace has no {kind.singular} {parameters['name']!r}")
        return json_response(_container(kind, state, parameters["name"]))

    def put_name(state: State, request: Request, parameters: Parameters) -> Response:
        """Archives all versions of a name, or takes them back."""
        archived = state.archived_assets
        change = archived.add if properties_of(request).get("isArchived") else archived.discard
        change((kind.plural, parameters["name"]))
        return get_name(state, request, parameters)

    names = f"{SCOPE}/{kind.plural}"
    return (
        Route("GET", f"{names}/{{name}}/versions", for_user(list_versions)),
        Route("GET", f"{names}/{{name}}/versions/{{version}}", for_user(get_version)),
        Route("PUT", f"{names}/{{name}}/versions/{{version}}", for_user(put_version)),
        Route("GET", names, for_user(list_names)),
        Route("GET", f"{names}/{{name}}", for_user(get_name)),
        Route("PUT", f"{names}/{{name}}", for_user(put_name)),
    )


def _wanted_versions(kind: Kind, state: State, request: Request, name: str) -> list[AssetVersion]:
    """The versions of a name, or of code with a hash: code has a new name each time, and is known by its hash."""
    wanted, archived = request.query.get("hash"), views(request)
    names = [name] if wanted is None else kind.names(state)
    found = [version for each in names for version in kind.versions(state, each)]
    found = [version for version in found if bool(version.properties.get("isArchived")) in archived]
    if wanted is not None:
        found = [version for version in found if _hash(version) == wanted]
    if "desc" in request.query.get("$orderBy", ""):
        found.reverse()
    return found


def next_version(versions: Sequence[AssetVersion]) -> str:
    return str(1 + max((int(each.version) for each in versions if each.version.isdecimal()), default=0))


def _container(kind: Kind, state: State, name: str) -> dict[str, Any]:
    versions = kind.versions(state, name)
    created: datetime = versions[0].created
    properties = {
        "latestVersion": versions[-1].version,
        "nextVersion": next_version(versions),
        "isArchived": (kind.plural, name) in state.archived_assets,
        "tags": {},
        "properties": {},
    }
    return resource(f"{kind.plural}/{name}", properties, created)


def _hash(version: AssetVersion) -> str | None:
    found: str | None = (version.properties.get("properties") or {}).get("hash_sha256")
    return found


def _identity(properties: dict[str, Any]) -> dict[str, Any]:
    """What of an asset never changes; a client may leave out what is empty."""
    kept = {name: value for name, value in properties.items() if name not in (*_DETAILS, *_GIVEN)}
    return {name: value for name, value in kept.items() if value not in (None, {})}
