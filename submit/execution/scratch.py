"""Scratch folders, which no process leaves behind: what a killed one left, the next one removes."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = ".in-use"  # the system releases it when the process that holds it ends


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A folder in the temporary directory, removed in the end; ``prefix`` says whose abandoned folders are removed."""
    remove_abandoned(prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    with FileLock(folder / _LOCK):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(prefix: str) -> None:
    """Removes this user's scratch folders that no process uses."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(Timeout, OSError):  # in use, or another user's
            if (folder / _LOCK).exists():
                with FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
