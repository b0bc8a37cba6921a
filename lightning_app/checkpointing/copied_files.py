"""Copies of a run's files in another folder: each of them is complete, or as it was before."""

import os
import shutil
from pathlib import Path

from lightning_app.checkpointing.sidecar import sidecar_path


def copy_file(source: Path, target: Path) -> None:
    """Nothing where there is no such file.

    Raises:
        OSError: It can't be copied; the target is unchanged.
    """
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished_copy(source, target).replace(target)


def copy_checkpoint(source: Path, target: Path) -> None:
    """With the file beside it, which comes after it as when it is written.

    Raises:
        OSError: It can't be copied.
    """
    sidecar_path(target).unlink(missing_ok=True)
    copy_file(source, target)
    copy_file(sidecar_path(source), sidecar_path(target))


def unfinished_copy(source: Path, target: Path) -> Path:
    """A copy beside the target, through to the disk, that hasn't got its name yet.

    Raises:
        OSError: It can't be made; no file is left.
    """
    copy = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        shutil.copyfile(source, copy)
        with copy.open("rb+") as file:
            os.fsync(file.fileno())
    except OSError:
        copy.unlink(missing_ok=True)
        raise
    return copy
