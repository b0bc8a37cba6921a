"""Snapshots: the folders that jobs run in; only what has changed since the last one is uploaded."""

import uuid
from collections.abc import Iterator
from typing import Any

from submit.rehearsal.answers import Answer, RefusalError, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.state import State
from submit.rehearsal.submissions import NO_SNAPSHOT, Snapshot
from submit.rehearsal.workspace import blob_address

ORIGIN = "snapshots"


def get_latest(state: State, call: Call, parameters: Parameters) -> Answer:
    """What the client compares a folder with, where it remembers no snapshot of its own."""
    latest = next(reversed(state.snapshots.values()), Snapshot(NO_SNAPSHOT, {}, {}))
    return json_answer({"id": latest.id, "root": latest.tree})


def announce(state: State, call: Call, parameters: Parameters) -> Answer:
    """An address for each file, in the order of the names; numbers, because the client encodes what is encoded."""
    folder = state.add_folder(ORIGIN, str(uuid.uuid4()))
    names = call.json()["FileNames"]
    folder.paths = [str(number) for number in range(len(names))]
    addresses = [blob_address(f"{ORIGIN}/{folder.container}/{path}") for path in folder.paths]
    nodes = [{"fullName": name, "blobUri": address} for name, address in zip(names, addresses, strict=True)]
    return json_answer({"fileNodes": nodes})


def create(state: State, call: Call, parameters: Parameters) -> Answer:
    """All files of the tree: those that were uploaded for it, and the others as they are in its parent."""
    asked = call.json()
    parent = state.snapshots.get(asked["ParentSnapshotId"])
    content = dict(parent.files) if parent else {}
    content |= {node["FullName"]: _uploaded(state, node) for node in asked["FileRevisionList"]["FileNodes"]}
    paths = list(_paths(asked["DirTreeNode"]))
    if missing := [path for path in paths if path not in content]:
        raise RefusalError(400, "UserError", f"the snapshot has files that nobody uploaded: {missing}")
    files = {path: content[path] for path in paths}
    state.snapshots[parameters["snapshot"]] = Snapshot(parameters["snapshot"], asked["DirTreeNode"], files)
    return json_answer({"id": parameters["snapshot"]})


def _uploaded(state: State, node: dict[str, Any]) -> bytes:
    container, number = node["BlobUri"].partition("?")[0].split("/")[-2:]
    folder = state.folders.get((ORIGIN, container))
    if folder is None or number not in folder.artifacts:
        raise RefusalError(400, "UserError", f"the content of {node['FullName']!r} didn't arrive")
    return folder.artifacts[number]


def _paths(tree: dict[str, Any], folder: str = "") -> Iterator[str]:
    for name, node in tree["children"].items():
        if node["type"] == "File":
            yield f"{folder}{name}"
        else:
            yield from _paths(node, f"{folder}{name}/")
