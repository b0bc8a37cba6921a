"""Artifacts: announced here, one address each; their content goes to and comes from that address."""

from typing import Any
from urllib.parse import quote

from submit.emulator.auth import Parameters, for_files
from submit.emulator.limits import path_error
from submit.emulator.messages import ApiError, Request, Response, error_content, json_response
from submit.emulator.routing import Route
from submit.emulator.state import FileContainer, State
from submit.emulator.workspace import SCOPE, blob_address

PAGE = 100  # artifacts


def create(state: State, container: FileContainer, request: Request, parameters: Parameters) -> Response:
    """Announces artifacts. The response has an error for each path that can't be created, and the client raises it."""
    paths = [artifact["path"] for artifact in request.json()["paths"]]
    errors = {path: error_content("UserError", reason) for path in paths if (reason := _rejection(container, path))}
    created = [path for path in paths if path not in errors]
    container.paths += created
    return json_response(
        {
            "artifacts": {path: _artifact(container, path) for path in created},
            "artifactContentInformation": {path: _content(container, path) for path in created},
            "errors": errors,
        }
    )


def list_paths(state: State, container: FileContainer, request: Request, parameters: Parameters) -> Response:
    return _page(request, [_artifact(container, path) for path in _names(container)])


def get_content(state: State, container: FileContainer, request: Request, parameters: Parameters) -> Response:
    if parameters["path"] not in _names(container):
        raise ApiError(404, "NotFound", f"{container.container} has no artifact {parameters['path']!r}")
    return json_response(_content(container, parameters["path"]))


def list_contents(state: State, container: FileContainer, request: Request, parameters: Parameters) -> Response:
    """Addresses of the artifacts whose paths have the prefix."""
    prefix = parameters["path"].rstrip("/")  # the client adds a slash or two
    return _page(request, [_content(container, path) for path in _names(container) if path.startswith(prefix)])


def _names(container: FileContainer) -> list[str]:
    """The announced files, and those of the datastore, where none is announced."""
    return sorted({*container.paths, *container.artifacts})


def _rejection(container: FileContainer, path: str) -> str | None:
    if path in container.paths:
        return f"Resource Conflict: ArtifactId {container.origin}/{container.container}/{path} already exists."
    return path_error(path)


def _page(request: Request, entries: list[dict[str, Any]]) -> Response:
    begin = int(request.query.get("continuationToken", 0))
    end = begin + PAGE
    return json_response({"value": entries[begin:end], "continuationToken": str(end) if end < len(entries) else None})


def _artifact(container: FileContainer, path: str) -> dict[str, Any]:
    return {
        "artifactId": f"{container.origin}/{container.container}/{path}",
        "origin": container.origin,
        "container": container.container,
        "path": path,
    }


def _content(container: FileContainer, path: str) -> dict[str, Any]:
    name = quote(path)
    address = blob_address(f"{container.origin}/{container.container}/{name}")
    return {
        "contentUri": address if container.origin else blob_address(name, container.container),
        "origin": container.origin,
        "container": container.container,
        "path": path,
    }


_ARTIFACT = f"/artifact/v2.0{SCOPE}/artifacts"
_CONTAINER = "{origin}/{container}"
ROUTES = (
    Route("POST", f"{_ARTIFACT}/batch/metadata/{_CONTAINER}", for_files(create)),
    Route("GET", f"{_ARTIFACT}/{_CONTAINER}", for_files(list_paths, reads=True)),
    Route("GET", f"{_ARTIFACT}/contentinfo/{_CONTAINER}/{{path*}}", for_files(get_content, reads=True)),
    Route("GET", f"{_ARTIFACT}/prefix/contentinfo/{_CONTAINER}/{{path*}}", for_files(list_contents, reads=True)),
)
