"""Artifacts: announced here, one address each; their content goes to and comes from that address."""

from typing import Any
from urllib.parse import quote

from submit.emulator.auth import Parameters, for_files
from submit.emulator.limits import path_error
from submit.emulator.messages import ApiError, Request, Response, error_content, json_response
from submit.emulator.routing import Route
from submit.emulator.state import FileHolder, State
from submit.emulator.workspace import SCOPE, blob_address

PAGE = 100  # artifacts


def create(state: State, holder: FileHolder, request: Request, parameters: Parameters) -> Response:
    """Announces artifacts. The response has an error for each path that can't be created, and the client raises it."""
    paths = [artifact["path"] for artifact in request.json()["paths"]]
    errors = {path: error_content("UserError", reason) for path in paths if (reason := _rejection(holder, path))}
    created = [path for path in paths if path not in errors]
    holder.paths += created
    return json_response(
        {
            "artifacts": {path: _artifact(holder, path) for path in created},
            "artifactContentInformation": {path: _content(holder, path) for path in created},
            "errors": errors,
        }
    )


def list_paths(state: State, holder: FileHolder, request: Request, parameters: Parameters) -> Response:
    return _page(request, [_artifact(holder, path) for path in sorted(holder.paths)])


def get_content(state: State, holder: FileHolder, request: Request, parameters: Parameters) -> Response:
    if parameters["path"] not in holder.paths:
        raise ApiError(404, "NotFound", f"{holder.container} has no artifact {parameters['path']!r}")
    return json_response(_content(holder, parameters["path"]))


def list_contents(state: State, holder: FileHolder, request: Request, parameters: Parameters) -> Response:
    """Addresses of the artifacts whose paths have the prefix."""
    prefix = parameters["path"].rstrip("/")  # the client adds a slash or two
    return _page(request, [_content(holder, path) for path in sorted(holder.paths) if path.startswith(prefix)])


def _rejection(holder: FileHolder, path: str) -> str | None:
    if path in holder.paths:
        return f"Resource Conflict: ArtifactId {holder.origin}/{holder.container}/{path} already exists."
    return path_error(path)


def _page(request: Request, entries: list[dict[str, Any]]) -> Response:
    begin = int(request.query.get("continuationToken", 0))
    end = begin + PAGE
    return json_response({"value": entries[begin:end], "continuationToken": str(end) if end < len(entries) else None})


def _artifact(holder: FileHolder, path: str) -> dict[str, Any]:
    return {
        "artifactId": f"{holder.origin}/{holder.container}/{path}",
        "origin": holder.origin,
        "container": holder.container,
        "path": path,
    }


def _content(holder: FileHolder, path: str) -> dict[str, Any]:
    return {
        "contentUri": blob_address(f"{holder.origin}/{holder.container}/{quote(path)}"),
        "origin": holder.origin,
        "container": holder.container,
        "path": path,
    }


_ARTIFACT = f"/artifact/v2.0{SCOPE}/artifacts"
_CONTAINER = "{origin}/{container}"
ROUTES = (
    Route("POST", f"{_ARTIFACT}/batch/metadata/{_CONTAINER}", for_files(create)),
    Route("GET", f"{_ARTIFACT}/{_CONTAINER}", for_files(list_paths)),
    Route("GET", f"{_ARTIFACT}/contentinfo/{_CONTAINER}/{{path*}}", for_files(get_content)),
    Route("GET", f"{_ARTIFACT}/prefix/contentinfo/{_CONTAINER}/{{path*}}", for_files(list_contents)),
)
