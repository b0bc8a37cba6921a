"""Resources of the workspace as the resource manager sends them, their ids, and pages of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from submit.emulator import datetimes
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.workspace import RESOURCE_MANAGER_HOST, SCOPE

_TYPE = "Microsoft.MachineLearningServices/workspaces"
_NEXT = "$skip"
PAGE = 100
_VIEWS = {"ActiveOnly": (False,), "ArchivedOnly": (True,), "All": (False, True)}
_VERSIONED = re.compile(r"(?P<scope>.*)/(?P<kind>\w+)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")


def resource(path: str, properties: Mapping[str, Any], created: datetime, scope: str = SCOPE) -> dict[str, Any]:
    """A resource whose id is the workspace's with this path, such as ``codes/NAME/versions/1``."""
    kinds = "/".join(path.split("/")[::2])
    when = datetimes.to_iso(created)
    made = {"createdAt": when, "createdBy": "emulator", "createdByType": "User"}
    return {
        "id": f"{scope}/{path}",
        "name": path.rpartition("/")[2],
        "type": f"{_TYPE}/{kinds}",
        "properties": dict(properties),
        "systemData": made | {"lastModifiedAt": when},
    }


def page(request: Request, entries: Sequence[dict[str, Any]], size: int = PAGE) -> Response:
    """A page of a list, with the address of the next one."""
    begin = int(request.query.get(_NEXT, 0))
    size = int(request.query.get("$top") or size)
    end = begin + size
    address = None
    if end < len(entries) and "$top" not in request.query:
        version = request.query.get("api-version", "")
        address = f"https://{RESOURCE_MANAGER_HOST}{request.path}?api-version={version}&{_NEXT}={end}"
    return json_response({"value": list(entries[begin:end]), "nextLink": address})


def views(request: Request) -> tuple[bool, ...]:
    """Whether the entries of the wanted list are archived.

    Raises:
        ApiError: There is no such list.
    """
    view = request.query.get("listViewType") or "ActiveOnly"
    known(view, _VIEWS, "listViewType")
    return _VIEWS[view]


def properties_of(request: Request) -> dict[str, Any]:
    """The properties in the body of a request.

    Raises:
        ApiError: The body has none.
    """
    body = request.json()
    properties = body.get("properties") if isinstance(body, dict) else None
    if not isinstance(properties, dict):
        raise ApiError(400, "UserError", "the body is without 'properties'; expected those of the resource")
    return properties


def version_in(asset_id: str, kind: str) -> tuple[str, str] | None:
    """The name and the version in the id of an asset of the workspace; None if it isn't such an id.

    Both ``SCOPE/codes/NAME/versions/1`` and ``azureml:NAME:1`` are ids.
    """
    found = _VERSIONED.fullmatch(asset_id)
    if found and found["kind"] == kind and found["scope"].lower() == SCOPE.lower():
        return found["name"], found["version"]
    name, colon, version = asset_id.removeprefix("azureml:").rpartition(":")
    if asset_id.startswith("azureml:") and colon and "/" not in name:
        return name, version
    return None


def known(value: Any, allowed: Iterable[str], what: str) -> None:
    """Refuses a value that the emulator doesn't have.

    Raises:
        ApiError: It has none of the allowed values.
    """
    names = list(allowed)
    if value not in names:
        raise ApiError(400, "UserError", f"{what} {value!r} isn't emulated; expected one of {', '.join(names)}")
