"""Where a resumed run continues: in the outputs of the other run, or in the folder to which its job copied checkpoints.

A job on low-priority nodes copies them to a folder of a datastore, because its outputs may be lost with a node.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from submit.errors import SubmitError
from submit.interface import Run, Workspace
from submit.job import DatastorePath
from submit.runs.retry import service_errors

LAST = "outputs/checkpoints/last.ckpt"
# what the training continues from, also after other attempts of a job, whose outputs have folders of their own
_CHECKPOINT = re.compile(r"(outputs/(retry_\d{3}/)?)?checkpoints/(last|best|step-\d{9,})\.ckpt")
_SIDECAR = ".json"  # beside a checkpoint, with its number of steps
_LONGEST = 2**16  # bytes of that file


def place_to_continue(workspace: Workspace, run: Run) -> DatastorePath | None:
    """The folder of a datastore that has a checkpoint of more steps than the outputs; None for the outputs.

    Raises:
        SubmitError: There is no checkpoint in either.
        ServiceError: The service doesn't respond.
    """
    with service_errors(f"the files of {run.id}"):
        in_outputs = _most_steps(run.paths(), lambda name: run.file(name).read(0, _LONGEST))
    folder = run.checkpoints()
    in_folder = None if folder is None else _steps_in(workspace, folder)
    if in_outputs is None and in_folder is None:
        raise SubmitError(f"run {run.id} has no {LAST}, from which a training could continue")
    return folder if in_folder is not None and (in_outputs is None or in_folder > in_outputs) else None


def _steps_in(workspace: Workspace, folder: DatastorePath) -> int | None:
    container: Any = workspace.open_datastore(folder.datastore).client
    start = f"{folder.path}/"
    with service_errors(f"the checkpoints in {folder.path}"):
        names = [
            blob.name.removeprefix(start) for blob in container.list_blobs(name_starts_with=f"{start}checkpoints/")
        ]
        return _most_steps(
            names, lambda name: container.get_blob_client(f"{start}{name}").download_blob(0, _LONGEST).readall()
        )


def _most_steps(names: Iterable[str], read: Callable[[str], bytes]) -> int | None:
    """Of the checkpoints among files; None if there is none. One of which nothing is said has no steps."""
    there = set(names)
    found = [name for name in there if _CHECKPOINT.fullmatch(name)]
    return max(
        (_steps(read(f"{name}{_SIDECAR}")) if f"{name}{_SIDECAR}" in there else 0 for name in found), default=None
    )


def _steps(content: bytes) -> int:
    try:
        return int(json.loads(content)["step"])
    except (ValueError, TypeError, KeyError):
        return 0
