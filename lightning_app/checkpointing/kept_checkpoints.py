"""The run's checkpoints in their folder: the last one, the best one, and a few earlier ones.

``last.ckpt`` is a whole checkpoint at every moment, also while a new one takes its place: the former one gets its other
name, ``step-000001500.ckpt``, as a second name first.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.checkpointing.position import epochs_in
from lightning_app.checkpointing.sidecar import Sidecar, damage, file_hash, read_sidecar, sidecar_path, write_sidecar
from lightning_app.errors import UsageError
from lightning_app.run_folder import EARLIER, RunFolder

DEFAULT_KEEP = 2


def put(unfinished: Path, target: Path, sidecar: Sidecar) -> None:
    """Gives a checkpoint that is completely written its name, and then its sidecar.

    Raises:
        OSError: It can't be done.
    """
    sidecar_path(target).unlink(missing_ok=True)  # that of the file that is there so far
    unfinished.replace(target)
    write_sidecar(target, sidecar)


def put_last(unfinished: Path, folder: RunFolder, sidecar: Sidecar, keep: int) -> None:
    """As ``put``, for ``last.ckpt``; the former one and those before it are kept, ``keep`` of them.

    Those of later steps, which a run leaves that goes on from an earlier step, are removed: the steps come again. The
    steps decide, and not the files' times.

    Raises:
        OSError: It can't be done.
    """
    former = read_sidecar(folder.last)
    if keep and former is not None and former.step < sidecar.step:
        with contextlib.suppress(OSError):  # it is only one that could be kept
            _name_again(folder.last, folder.earlier(former.step))
    put(unfinished, folder.last, sidecar)
    remove_earlier(folder, sidecar.step, keep)


def remove_earlier(folder: RunFolder, step: int, keep: int) -> bool:
    """Removes kept checkpoints, except the newest ``keep`` before a step; returns whether there was one to remove.

    A file of this name without a sidecar may be the user's.
    """
    earlier = sorted(_steps(folder), reverse=True)
    kept = [each for each in earlier if each < step][:keep]
    removed = [each for each in earlier if each not in kept]
    for each in removed:
        path = folder.earlier(each)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            sidecar_path(path).unlink()
    return bool(removed)


def complete_sidecars(folder: RunFolder) -> None:
    """Writes the sidecars that a process didn't come to write: it was killed after a checkpoint had got its name.

    A training that was finished by then writes nothing any more, and ``put_last`` keeps a former one by its sidecar.
    What can't be read, or can't be written, stays as it is.
    """
    for path in (folder.last, folder.best):
        with contextlib.suppress(OSError, UsageError):
            if path.is_file() and read_sidecar(path) is None and not damage(path):
                content = read_checkpoint(path)
                step, size = int(content["global_step"]), path.stat().st_size
                write_sidecar(path, Sidecar(step, epochs_in(content), size, file_hash(path)))


def _steps(folder: RunFolder) -> Iterator[int]:
    for path in folder.last.parent.glob("step-*.ckpt.json"):
        found = EARLIER.fullmatch(path.name.removesuffix(".json"))
        if found and path == sidecar_path(folder.earlier(int(found[1]))):
            yield int(found[1])


def _name_again(path: Path, other: Path) -> None:
    """The sidecar goes first: what has one that isn't its own would pass for damaged."""
    sidecar_path(path).replace(sidecar_path(other))
    try:
        other.unlink(missing_ok=True)
        os.link(path, other)
    except OSError:  # a file system without second names, such as a mounted storage account
        path.replace(other)
