"""The blob account that holds the content of artifacts, snapshots and the datastore."""

import base64
import hashlib
import re
from email.utils import formatdate
from urllib.parse import unquote
from xml.sax.saxutils import escape

from submit.emulator.auth import Handler, Parameters
from submit.emulator.limits import path_error
from submit.emulator.messages import ApiError, Request, Response
from submit.emulator.routing import Route
from submit.emulator.state import FileContainer, Folder, State
from submit.emulator.workspace import BLOB_CONTAINER, BLOB_HOST, DATASTORE_CONTAINER

_METADATA = "x-ms-meta-"
_NOT_ANNOUNCED = "no artifact was announced at this address"


class BlobError(ApiError):
    """An error as a blob account sends it: XML, with the code in a header as well."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        self.response = Response(status, body.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code})


def put(state: State, request: Request, parameters: Parameters) -> Response:
    """A blob in one request; the account computes its MD5 unless a header has it."""
    digest = request.headers.get("x-ms-blob-content-md5", md5(request.body))
    return store(_writable(state, request, parameters), parameters["path"], request.body, digest)


def put_block(state: State, request: Request, parameters: Parameters) -> Response:
    """A block, which becomes part of the blob when a block list names it."""
    container = _writable(state, request, parameters)
    container.blocks.setdefault(parameters["path"], {})[request.query["blockid"]] = request.body
    return Response(201, headers={"Content-MD5": md5(request.body)})


def put_block_list(state: State, request: Request, parameters: Parameters) -> Response:
    """Makes a blob of blocks. In a free folder the list may be sent again, because a response may be lost."""
    container, path = _writable(state, request, parameters), parameters["path"]
    parts = container.parts if isinstance(container, Folder) else {}
    blocks = parts.get(path, {}) | container.blocks.get(path, {})
    names = [name.decode() for name in re.findall(rb"<(?:Latest|Uncommitted)>([^<]+)</", request.body)]
    if not set(names) <= set(blocks):
        raise BlobError(400, "InvalidBlockList", "The specified block list is invalid.")
    content = b"".join(blocks[name] for name in names)
    response = store(container, path, content, request.headers.get("x-ms-blob-content-md5"))
    parts[path] = {name: blocks[name] for name in names}
    return response


def put_metadata(state: State, request: Request, parameters: Parameters) -> Response:
    content, container = _content(state, parameters), container_of(state, parameters)
    if isinstance(container, Folder):
        given = {name: value for name, value in request.headers.items() if name.startswith(_METADATA)}
        container.metadata[parameters["path"]] = given
    return Response(headers=_properties(content))


def head(state: State, request: Request, parameters: Parameters) -> Response:
    content = _content(state, parameters)
    container = container_of(state, parameters)
    digest = container.md5s.get(parameters["path"]) if isinstance(container, Folder) else md5(content)
    headers = {"Content-MD5": digest} if digest else {}
    if isinstance(container, Folder):
        headers |= container.metadata.get(parameters["path"], {})
    return Response(headers=_properties(content) | headers | {"Content-Length": str(len(content))})


def get(state: State, request: Request, parameters: Parameters) -> Response:
    """The whole blob, or a range of its bytes."""
    content = _content(state, parameters)
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("x-ms-range", request.headers.get("range", "")))
    if span is None:
        return Response(200, content, _properties(content))
    first, last = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
    if first > last:
        raise BlobError(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
    part = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
    return Response(206, content[first : last + 1], _properties(content) | part)


def container_of(state: State, parameters: Parameters) -> FileContainer | None:
    if "upload" in parameters:
        return state.uploads.get(parameters["upload"])
    return state.files(parameters["origin"], parameters["container"]) if "container" in parameters else state.datastore


def _content(state: State, parameters: Parameters) -> bytes:
    container = container_of(state, parameters)
    if container is None or parameters["path"] not in container.artifacts:
        raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")
    return container.artifacts[parameters["path"]]


def _writable(state: State, request: Request, parameters: Parameters) -> FileContainer:
    container = container_of(state, parameters)
    if container is None or not _is_expected(container, parameters["path"]):
        raise BlobError(403, "AuthenticationFailed", _NOT_ANNOUNCED)
    if reason := path_error(parameters["path"]):
        raise BlobError(400, "InvalidResourceName", reason)
    if request.headers.get("content-md5", md5(request.body)) != md5(request.body):
        raise BlobError(400, "Md5Mismatch", "the content isn't what its Content-MD5 says")
    if request.headers.get("if-none-match") == "*" and parameters["path"] in container.artifacts:
        raise BlobError(409, "BlobAlreadyExists", "The specified blob already exists.")
    return container


def _is_expected(container: FileContainer, path: str) -> bool:
    return path in container.paths or (isinstance(container, Folder) and container.free)


def store(container: FileContainer, path: str, content: bytes, digest: str | None) -> Response:
    """Stores a blob; one made of blocks has an MD5 only if the client sent one."""
    if isinstance(container, Folder):
        container.md5s[path] = digest or ""
        container.parts.pop(path, None)
    container.artifacts[path] = content
    container.blocks.pop(path, None)
    return Response(201, headers=_properties(content))


def _properties(content: bytes) -> dict[str, str]:
    return {
        "ETag": f'"{len(content)}"',  # the client writes no blob twice, so the size identifies a version
        "Last-Modified": formatdate(usegmt=True),
        "Content-Type": "application/octet-stream",
        "x-ms-blob-type": "BlockBlob",
    }


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


PAGE = 5000  # blobs


def list_blobs(state: State, request: Request, parameters: Parameters) -> Response:
    """A page of a container's blobs whose paths have the prefix; the marker is where the next page begins.

    With a delimiter, what has it after the prefix is listed once, up to the delimiter.
    """
    prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter")
    found = {path: file for path, file in _listed(state, parameters["upload"]).items() if path.startswith(prefix)}
    names = sorted({_up_to(path, len(prefix), delimiter) for path in found})
    begin = int(request.query.get("marker") or 0)
    end = begin + int(request.query.get("maxresults") or PAGE)
    blobs = "".join(_blob(name, found.get(name)) for name in names[begin:end])
    marker = str(end) if end < len(names) else ""
    return _xml(
        f'<EnumerationResults ServiceEndpoint="https://{BLOB_HOST}/" ContainerName="{parameters["upload"]}">'
        f"<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    )


def _listed(state: State, container: str) -> dict[str, tuple[bytes, str | None]]:
    """The content and the MD5, if the account has one, of each blob of a container by its path."""
    if container == BLOB_CONTAINER:
        containers: list[FileContainer] = [*state.runs.values(), *state.folders.values()]
        return {
            f"{files.origin}/{files.container}/{path}": (content, None)
            for files in containers
            for path, content in files.artifacts.items()
        }
    folder = state.datastore if container == DATASTORE_CONTAINER else state.uploads.get(container)
    if folder is None:
        raise BlobError(404, "ContainerNotFound", "The specified container does not exist.")
    return {path: (content, folder.md5s.get(path)) for path, content in folder.artifacts.items()}


def _up_to(path: str, begin: int, delimiter: str | None) -> str:
    end = path.find(delimiter, begin) if delimiter else -1
    return path if end < 0 else path[: end + 1]


def list_blocks(state: State, request: Request, parameters: Parameters) -> Response:
    """The uncommitted blocks of a blob; no client asks for the committed ones."""
    container, path = container_of(state, parameters), parameters["path"]
    if container is None or (path not in container.blocks and path not in container.artifacts):
        raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")
    blocks = container.blocks.get(path, {}).items()
    pieces = "".join(f"<Block><Name>{name}</Name><Size>{len(content)}</Size></Block>" for name, content in blocks)
    return _xml(f"<BlockList><CommittedBlocks /><UncommittedBlocks>{pieces}</UncommittedBlocks></BlockList>")


def _blob(name: str, file: tuple[bytes, str | None] | None) -> str:
    """A blob, or without a file a folder."""
    if file is None:
        return f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>"
    content, digest = file
    md5_element = f"<Content-MD5>{digest}</Content-MD5>" if digest else ""
    size = f"<Content-Length>{len(content)}</Content-Length>"
    properties = f"<Properties>{size}{md5_element}<BlobType>BlockBlob</BlobType></Properties>"
    return f"<Blob><Name>{escape(name)}</Name>{properties}</Blob>"


def _xml(content: str) -> Response:
    body = f'<?xml version="1.0" encoding="utf-8"?>{content}'
    return Response(200, body.encode(), {"Content-Type": "application/xml"})


def _decoding(handler: Handler) -> Handler:
    """azureml-core's uploads encode the path of an address that is encoded already; its downloads don't."""

    def handle(state: State, request: Request, parameters: Parameters) -> Response:
        container, path = container_of(state, parameters), unquote(parameters["path"])
        is_exact = request.method == "GET" and container is not None and parameters["path"] in container.artifacts
        if container is not None and path in container.paths and not is_exact:
            parameters = {**parameters, "path": path}
        return handler(state, request, parameters)

    return handle


def _blob_routes(path: str) -> tuple[Route, ...]:
    """The routes of one blob; its address is all the authorization that is required."""
    return (
        Route("PUT", path, _decoding(put)),
        Route("PUT", path, _decoding(put_block), comp="block"),
        Route("PUT", path, _decoding(put_block_list), comp="blocklist"),
        Route("PUT", path, _decoding(put_metadata), comp="metadata"),
        Route("HEAD", path, _decoding(head)),
        Route("GET", path, _decoding(get)),
        Route("GET", path, _decoding(list_blocks), comp="blocklist"),
    )


ROUTES = (
    *_blob_routes(f"/{BLOB_CONTAINER}/{{origin}}/{{container}}/{{path*}}"),
    Route("GET", "/{upload}", list_blobs, comp="list"),
    *_blob_routes(f"/{DATASTORE_CONTAINER}/{{path*}}"),
    *_blob_routes("/{upload}/{path*}"),
)
