"""The lists of a blob account: what is in a container, and what has come of a blob so far."""

from xml.sax.saxutils import escape

from submit.rehearsal.answers import Answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.blobs import BlobError, holder_of
from submit.rehearsal.calls import Call
from submit.rehearsal.state import State
from submit.rehearsal.submissions import Folder
from submit.rehearsal.workspace import BLOB_HOST, DATASTORE_CONTAINER

PAGE = 5000  # blobs


def list_blobs(state: State, call: Call, parameters: Parameters) -> Answer:
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


def list_blocks(state: State, call: Call, parameters: Parameters) -> Answer:
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


def _xml(content: str) -> Answer:
    body = f'<?xml version="1.0" encoding="utf-8"?>{content}'
    return Answer(200, body.encode(), {"Content-Type": "application/xml"})
