"""Jobs: their snapshots, their submission and their status."""

import uuid
from collections.abc import Iterator
from typing import Any

from submit.emulator import datetimes
from submit.emulator.auth import Parameters
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.state import NO_SNAPSHOT, Run, Snapshot, State, SubmittedJob
from submit.emulator.workspace import blob_address

WAITING = ("NotStarted", "Starting", "Provisioning", "Preparing", "Queued")
AT_WORK = ("Running", "Finalizing", "CancelRequested")
ENDED = ("Completed", "Failed", "Canceled")


def submit(state: State, call: Request, parameters: Parameters) -> Response:
    """A new run, which is queued; it goes on when somebody says so."""
    definition = call.json()
    run_id, experiment = call.query["runId"], parameters["experiment"]
    files = _files_of(state, definition["SnapshotId"])
    target = definition["Configuration"]["target"]
    if target not in state.computes:
        raise ApiError(400, "UserError", f"Unknown compute target '{target}'.")
    if run_id in state.runs:
        raise ApiError(409, "Conflict", f"Run {run_id} already exists.")
    state.jobs.append(SubmittedJob(run_id, experiment, definition, files))
    state.keep_run(_queued(run_id, experiment, len(state.runs) + 1, definition["Configuration"]))
    return json_response({"runId": run_id})


def cancel(state: State, run: Run, call: Request, parameters: Parameters) -> Response:
    """Ends a run at once; one that has ended stays as it is."""
    if run.status not in ENDED:
        set_status(run, "Canceled")
    return json_response({})


def set_status(run: Run, status: str, error: str | None = None) -> None:
    """What the platform notes of a run: it starts when it is at work first, and ends once.

    Raises:
        ValueError: There is no such status.
    """
    if status not in WAITING + AT_WORK + ENDED:
        raise ValueError(f"status is {status!r}; expected one of {', '.join(WAITING + AT_WORK + ENDED)}")
    run.status, run.error = status, error
    if status in AT_WORK:
        run.started = run.started or datetimes.now()
    run.ended = (run.ended or datetimes.now()) if status in ENDED else None


def _files_of(state: State, snapshot: str | None) -> dict[str, bytes]:
    if snapshot in (None, NO_SNAPSHOT):  # of nothing, as of a folder without files
        return {}
    if snapshot not in state.snapshots:
        raise ApiError(400, "UserError", f"there is no snapshot {snapshot!r}")
    return dict(state.snapshots[snapshot].files)


def _queued(run_id: str, experiment: str, number: int, configuration: dict[str, Any]) -> Run:
    return Run(
        run_id,
        experiment,
        number,
        datetimes.now(),
        status="Queued",
        type="azureml.scriptrun",
        target=configuration["target"],
        definition=configuration,
    )


ORIGIN = "snapshots"


def get_latest(state: State, call: Request, parameters: Parameters) -> Response:
    """What the client compares a folder with, where it remembers no snapshot of its own."""
    latest = next(reversed(state.snapshots.values()), Snapshot(NO_SNAPSHOT, {}, {}))
    return json_response({"id": latest.id, "root": latest.tree})


def announce(state: State, call: Request, parameters: Parameters) -> Response:
    """An address for each file, in the order of the names; numbers, because the client encodes what is encoded."""
    folder = state.add_folder(ORIGIN, str(uuid.uuid4()))
    names = call.json()["FileNames"]
    folder.paths = [str(number) for number in range(len(names))]
    addresses = [blob_address(f"{ORIGIN}/{folder.container}/{path}") for path in folder.paths]
    nodes = [{"fullName": name, "blobUri": address} for name, address in zip(names, addresses, strict=True)]
    return json_response({"fileNodes": nodes})


def create(state: State, call: Request, parameters: Parameters) -> Response:
    """All files of the tree: those that were uploaded for it, and the others as they are in its parent."""
    asked = call.json()
    parent = state.snapshots.get(asked["ParentSnapshotId"])
    content = dict(parent.files) if parent else {}
    content |= {node["FullName"]: _uploaded(state, node) for node in asked["FileRevisionList"]["FileNodes"]}
    paths = list(_paths(asked["DirTreeNode"]))
    if missing := [path for path in paths if path not in content]:
        raise ApiError(400, "UserError", f"the snapshot has files that nobody uploaded: {missing}")
    files = {path: content[path] for path in paths}
    state.snapshots[parameters["snapshot"]] = Snapshot(parameters["snapshot"], asked["DirTreeNode"], files)
    return json_response({"id": parameters["snapshot"]})


def _uploaded(state: State, node: dict[str, Any]) -> bytes:
    container, number = node["BlobUri"].partition("?")[0].split("/")[-2:]
    folder = state.folders.get((ORIGIN, container))
    if folder is None or number not in folder.artifacts:
        raise ApiError(400, "UserError", f"the content of {node['FullName']!r} didn't arrive")
    return folder.artifacts[number]


def _paths(tree: dict[str, Any], folder: str = "") -> Iterator[str]:
    for name, node in tree["children"].items():
        if node["type"] == "File":
            yield f"{folder}{name}"
        else:
            yield from _paths(node, f"{folder}{name}/")
