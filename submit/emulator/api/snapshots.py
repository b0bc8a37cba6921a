"""Snapshots: folders that the client uploads with a job, and that can be downloaded again."""

import io
import uuid
import zipfile
from collections.abc import Iterator
from typing import Any

from submit.emulator import limits
from submit.emulator.api import blobs
from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import NO_SNAPSHOT, Snapshot, State
from submit.emulator.workspace import SCOPE, blob_address

ORIGIN = "snapshots"


def get_latest(state: State, request: Request, parameters: Parameters) -> Response:
    """The snapshot with which a client that remembers none compares its folder."""
    latest = next(reversed(state.snapshots.values()), Snapshot(NO_SNAPSHOT, {}, {}))
    return json_response({"id": latest.id, "root": latest.tree})


def announce(state: State, request: Request, parameters: Parameters) -> Response:
    """A blob address for each file. The paths are numbers, because the client would encode names a second time."""
    folder = state.add_folder(ORIGIN, str(uuid.uuid4()))
    names = request.json()["FileNames"]
    folder.paths = [str(number) for number in range(len(names))]
    addresses = [blob_address(f"{ORIGIN}/{folder.container}/{path}") for path in folder.paths]
    nodes = [{"fullName": name, "blobUri": address} for name, address in zip(names, addresses, strict=True)]
    return json_response({"fileNodes": nodes})


def create(state: State, request: Request, parameters: Parameters) -> Response:
    """Creates a snapshot from the uploaded files and, for unchanged ones, its parent's."""
    body = request.json()
    parent = state.snapshots.get(body["ParentSnapshotId"])
    content = dict(parent.files) if parent else {}
    content |= {node["FullName"]: _uploaded(state, node) for node in body["FileRevisionList"]["FileNodes"]}
    paths = list(_paths(body["DirTreeNode"]))
    if missing := [path for path in paths if path not in content]:
        raise ApiError(400, "UserError", f"the snapshot has files that were not uploaded: {missing}")
    for path in paths:
        limits.check_path(path)
    files = {path: content[path] for path in paths}
    state.snapshots[parameters["snapshot"]] = Snapshot(parameters["snapshot"], body["DirTreeNode"], files)
    return json_response({"id": parameters["snapshot"]})


def _uploaded(state: State, node: dict[str, Any]) -> bytes:
    container, number = node["BlobUri"].partition("?")[0].split("/")[-2:]
    folder = state.folders.get((ORIGIN, container))
    if folder is None or number not in folder.artifacts:
        raise ApiError(400, "UserError", f"the content of {node['FullName']!r} was not uploaded")
    return folder.artifacts[number]


def _paths(tree: dict[str, Any], folder: str = "") -> Iterator[str]:
    for name, node in tree["children"].items():
        if node["type"] == "File":
            yield f"{folder}{name}"
        else:
            yield from _paths(node, f"{folder}{name}/")


def keep(state: State, files: dict[str, bytes]) -> str:
    """Keeps files that were uploaded in another way as a snapshot; returns its id."""
    snapshot = Snapshot(str(uuid.uuid4()), {}, files)
    state.snapshots[snapshot.id] = snapshot
    return snapshot.id


def pack(state: State, request: Request, parameters: Parameters) -> Response:
    """The address of a zip file with the snapshot."""
    snapshot = state.snapshots.get(parameters["snapshot"])
    if snapshot is None:
        raise ApiError(404, "NotFound", f"there is no snapshot {parameters['snapshot']!r}")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in snapshot.files.items():
            archive.writestr(path, content)
    folder = state.add_folder("snapshotzips", snapshot.id)
    blobs.store(folder, "snapshot.zip", packed.getvalue(), None)
    return json_response({"zipSasUri": blob_address(f"{folder.origin}/{folder.container}/snapshot.zip")})


ROUTES = (
    Route("GET", f"/content/v1.0{SCOPE}/snapshots/latest/metadata", for_user(get_latest)),
    Route("POST", f"/content/v2.0{SCOPE}/snapshots/getblob", for_user(announce)),
    Route("POST", f"/content/v2.0{SCOPE}/snapshots/{{snapshot}}", for_user(create)),
    Route("POST", f"/content/v2.0{SCOPE}/snapshots/{{snapshot}}/zip", for_user(pack)),
)
