"""Where a resumed run continues: in the run folder of the other run, or in the folder of its copied checkpoints.

A job on low-priority nodes copies them to a folder of a datastore, because its outputs may be lost with a node.
"""

import json
import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

from submit.errors import SubmitError
from submit.interface import Run, Workspace
from submit.job import DatastorePath
from submit.runs.retry import service_errors
from submit.runs.run_folders import EARLIER_RUNS, without_attempt

_OUTPUTS = "outputs"
# what the training continues from
_CHECKPOINT = re.compile(r"checkpoints/(last|best|step-\d{9,})\.ckpt")
_SIDECAR = ".json"  # beside a checkpoint, with its number of steps
_LONGEST = 2**16  # bytes of that file


def place_to_continue(workspace: Workspace, run: Run) -> DatastorePath:
    """The folder with the checkpoint of the most steps: a run folder among the run's files, or that of the copies.

    Of ``outputs`` it is the folder around those of the job's other attempts, where the training looks as well.

    Raises:
        SubmitError: There is no checkpoint in either.
        ServiceError: The service doesn't respond.
    """
    with service_errors(f"the files of {run.id}"):
        own = _most_steps(run.paths(), lambda name: run.file(name).read(0, _LONGEST))
    copies = run.checkpoints()
    copied = _steps_in(workspace, copies) if copies is not None else None
    if copies is not None and copied is not None and (own is None or copied > own[0]):
        return copies
    if own is None:
        raise SubmitError(
            f"run {run.id} has no checkpoint from which a training could continue, such as "
            f"{_OUTPUTS}/checkpoints/last.ckpt"
        )
    return run.folder(own[1])


def _steps_in(workspace: Workspace, folder: DatastorePath) -> int | None:
    container: Any = workspace.open_datastore(folder.datastore).client
    start = f"{folder.path}/"
    with service_errors(f"the checkpoints in {folder.path}"):
        names = [
            blob.name.removeprefix(start) for blob in container.list_blobs(name_starts_with=f"{start}checkpoints/")
        ]
        found = _most_steps(
            names, lambda name: container.get_blob_client(f"{start}{name}").download_blob(0, _LONGEST).readall()
        )
    return None if found is None else found[0]


def _most_steps(names: Iterable[str], read: Callable[[str], bytes]) -> tuple[int, str] | None:
    """Of the checkpoints among files the most steps, and their run folder; None if there is no checkpoint.

    One of which nothing is said has no steps.
    """
    there, found = set(names), []
    for name in there:
        path = PurePosixPath(name)
        if _CHECKPOINT.fullmatch("/".join(path.parts[-2:])) and EARLIER_RUNS not in path.parts:
            steps = _steps(read(f"{name}{_SIDECAR}")) if f"{name}{_SIDECAR}" in there else 0
            found.append((steps, _run_folder(path)))
    return max(found, default=None)


def _run_folder(checkpoint: PurePosixPath) -> str:
    folder, outputs = checkpoint.parents[1], PurePosixPath(_OUTPUTS)
    is_attempt = folder.is_relative_to(outputs) and without_attempt(folder) == outputs
    return _OUTPUTS if is_attempt else str(folder)


def _steps(content: bytes) -> int:
    try:
        return int(json.loads(content)["step"])
    except (ValueError, TypeError, KeyError):
        return 0
