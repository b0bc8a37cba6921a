"""The blob account that holds the content of artifacts, snapshots and the datastore."""

import base64
import hashlib
import re
from email.utils import formatdate
from xml.sax.saxutils import escape

from submit.emulator.auth import Parameters
from submit.emulator.messages import ApiError, Request, Response
from submit.emulator.state import FileHolder, Folder, State
from submit.emulator.workspace import BLOB_HOST, DATASTORE_CONTAINER

# It encodes the path of the address that it got once more, so the real service's signature doesn't fit, either.
_NOT_ANNOUNCED = (
    "no artifact was announced at this address; azureml-core uploads to a wrong one where a name has other characters "
    "than the letters a to z, digits and _.-~/"
)


class BlobError(ApiError):
    """A refusal in the words of a blob account: XML, and the code in a header, too."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        self.answer = Response(status, body.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code})


def put(state: State, call: Request, parameters: Parameters) -> Response:
    """A blob in one piece, of which the account computes the digest if nobody tells it."""
    digest = call.headers.get("x-ms-blob-content-md5", md5(call.body))
    return store(_writable(state, call, parameters), parameters["path"], call.body, digest)


def put_block(state: State, call: Request, parameters: Parameters) -> Response:
    """A piece, which is part of the blob once a list of blocks names it."""
    holder = _writable(state, call, parameters)
    holder.blocks.setdefault(parameters["path"], {})[call.query["blockid"]] = call.body
    return Response(201, headers={"Content-MD5": md5(call.body)})


def put_block_list(state: State, call: Request, parameters: Parameters) -> Response:
    """The order in which blocks make a blob; those of a free folder can be listed again, as an answer may be lost."""
    holder, path = _writable(state, call, parameters), parameters["path"]
    parts = holder.parts if isinstance(holder, Folder) else {}
    blocks = parts.get(path, {}) | holder.blocks.get(path, {})
    names = [name.decode() for name in re.findall(rb"<(?:Latest|Uncommitted)>([^<]+)</", call.body)]
    if not set(names) <= set(blocks):
        raise BlobError(400, "InvalidBlockList", "The specified block list is invalid.")
    content = b"".join(blocks[name] for name in names)
    answer = store(holder, path, content, call.headers.get("x-ms-blob-content-md5"))
    parts[path] = {name: blocks[name] for name in names}
    return answer


def put_metadata(state: State, call: Request, parameters: Parameters) -> Response:
    return Response(headers=_properties(_content(state, parameters)))


def head(state: State, call: Request, parameters: Parameters) -> Response:
    content = _content(state, parameters)
    holder = holder_of(state, parameters)
    digest = holder.md5s.get(parameters["path"]) if isinstance(holder, Folder) else md5(content)
    told = {"Content-MD5": digest} if digest else {}
    return Response(headers=_properties(content) | told | {"Content-Length": str(len(content))})


def get(state: State, call: Request, parameters: Parameters) -> Response:
    """All of a blob, or the bytes from a first to a last one."""
    content = _content(state, parameters)
    span = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("x-ms-range", call.headers.get("range", "")))
    if span is None:
        return Response(200, content, _properties(content))
    first, last = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
    if first > last:
        raise BlobError(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
    part = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
    return Response(206, content[first : last + 1], _properties(content) | part)


def holder_of(state: State, parameters: Parameters) -> FileHolder | None:
    return state.files(parameters["origin"], parameters["container"]) if "container" in parameters else state.datastore


def _content(state: State, parameters: Parameters) -> bytes:
    holder = holder_of(state, parameters)
    if holder is None or parameters["path"] not in holder.artifacts:
        raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")
    return holder.artifacts[parameters["path"]]


def _writable(state: State, call: Request, parameters: Parameters) -> FileHolder:
    holder = holder_of(state, parameters)
    if holder is None or not _is_expected(holder, parameters["path"]):
        raise BlobError(403, "AuthenticationFailed", _NOT_ANNOUNCED)
    if call.headers.get("content-md5", md5(call.body)) != md5(call.body):
        raise BlobError(400, "Md5Mismatch", "the content isn't what its Content-MD5 says")
    if call.headers.get("if-none-match") == "*" and parameters["path"] in holder.artifacts:
        raise BlobError(409, "BlobAlreadyExists", "The specified blob already exists.")
    return holder


def _is_expected(holder: FileHolder, path: str) -> bool:
    return path in holder.paths or (isinstance(holder, Folder) and holder.free)


def store(holder: FileHolder, path: str, content: bytes, digest: str | None) -> Response:
    """The blob as it is from now on; one of blocks has a digest only if whoever made it told one."""
    if isinstance(holder, Folder):
        holder.md5s[path] = digest or ""
        holder.parts.pop(path, None)
    holder.artifacts[path] = content
    holder.blocks.pop(path, None)
    return Response(201, headers=_properties(content))


def _properties(content: bytes) -> dict[str, str]:
    return {
        "ETag": f'"{len(content)}"',  # the client writes no blob twice, so this is enough to know it by
        "Last-Modified": formatdate(usegmt=True),
        "Content-Type": "application/octet-stream",
        "x-ms-blob-type": "BlockBlob",
    }


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


PAGE = 5000  # blobs


def list_blobs(state: State, call: Request, parameters: Parameters) -> Response:
    """A page of those in the datastore whose paths begin so; the next one begins where this one says."""
    paths = sorted(path for path in state.datastore.artifacts if path.startswith(call.query.get("prefix", "")))
    begin = int(call.query.get("marker") or 0)
    end = begin + int(call.query.get("maxresults") or PAGE)
    blobs = "".join(_blob(state.datastore, path) for path in paths[begin:end])
    marker = str(end) if end < len(paths) else ""
    return _xml(
        f'<EnumerationResults ServiceEndpoint="https://{BLOB_HOST}/" ContainerName="{DATASTORE_CONTAINER}">'
        f"<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    )


def list_blocks(state: State, call: Request, parameters: Parameters) -> Response:
    """The pieces that have come for a blob which isn't made of them yet; those of a whole one nobody asks for."""
    holder, path = holder_of(state, parameters), parameters["path"]
    if holder is None or (path not in holder.blocks and path not in holder.artifacts):
        raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")
    blocks = holder.blocks.get(path, {}).items()
    pieces = "".join(f"<Block><Name>{name}</Name><Size>{len(content)}</Size></Block>" for name, content in blocks)
    return _xml(f"<BlockList><CommittedBlocks /><UncommittedBlocks>{pieces}</UncommittedBlocks></BlockList>")


def _blob(folder: Folder, path: str) -> str:
    digest = folder.md5s.get(path)
    told = f"<Content-MD5>{digest}</Content-MD5>" if digest else ""
    size = f"<Content-Length>{len(folder.artifacts[path])}</Content-Length>"
    properties = f"<Properties>{size}{told}<BlobType>BlockBlob</BlobType></Properties>"
    return f"<Blob><Name>{escape(path)}</Name>{properties}</Blob>"


def _xml(content: str) -> Response:
    body = f'<?xml version="1.0" encoding="utf-8"?>{content}'
    return Response(200, body.encode(), {"Content-Type": "application/xml"})
