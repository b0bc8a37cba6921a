"""Jobs: their snapshots, their submission and their status."""

import uuid
from collections.abc import Iterator
from typing import Any

from submit.emulator import datetimes
from submit.emulator.auth import Parameters, for_run, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import NO_SNAPSHOT, Run, Snapshot, State, SubmittedJob
from submit.emulator.workspace import SCOPE, blob_address

WAITING = ("NotStarted", "Starting", "Provisioning", "Preparing", "Queued")
AT_WORK = ("Running", "Finalizing", "CancelRequested")
ENDED = ("Completed", "Failed", "Canceled")


def submit(state: State, request: Request, parameters: Parameters) -> Response:
    """Creates a queued run; ``AzureMLEmulator.set_run_status`` changes its status."""
    definition = request.json()
    run_id, experiment = request.query["runId"], parameters["experiment"]
    files = _files_of(state, definition["SnapshotId"])
    target = definition["Configuration"]["target"]
    if target not in state.computes:
        raise ApiError(400, "UserError", f"Unknown compute target '{target}'.")
    if run_id in state.runs:
        raise ApiError(409, "Conflict", f"Run {run_id} already exists.")
    state.jobs.append(SubmittedJob(run_id, experiment, definition, files))
    state.keep_run(_queued(run_id, experiment, len(state.runs) + 1, definition["Configuration"]))
    return json_response({"runId": run_id})


def cancel(state: State, run: Run, request: Request, parameters: Parameters) -> Response:
    """Cancels a run at once; a run that has ended keeps its status."""
    if run.status not in ENDED:
        set_status(run, "Canceled")
    return json_response({})


def set_status(run: Run, status: str, error: str | None = None) -> None:
    """Sets the status with its times: a run starts once and ends once.

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
    if snapshot in (None, NO_SNAPSHOT):  # the snapshot of a folder without files
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


_EXECUTION = f"/execution/v1.0{SCOPE}/experiments/{{experiment}}"
ROUTES = (
    Route("GET", f"/content/v1.0{SCOPE}/snapshots/latest/metadata", for_user(get_latest)),
    Route("POST", f"/content/v2.0{SCOPE}/snapshots/getblob", for_user(announce)),
    Route("POST", f"/content/v2.0{SCOPE}/snapshots/{{snapshot}}", for_user(create)),
    Route("POST", f"{_EXECUTION}/snapshotrun", for_user(submit)),
    Route("POST", f"{_EXECUTION}/runId/{{run}}/cancel", for_user(for_run(cancel))),
)
