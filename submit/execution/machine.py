"""A node that is taken away: all processes that run in its folder end at once, whatever they have started."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_TRIES = 100  # each finds the processes that have started meanwhile


def take_away(folder: Path) -> None:
    """Kills the processes whose working directory is in a folder; on Linux only, where the system lists them."""
    for _ in range(_TRIES if sys.platform == "linux" else 0):
        found = list(_processes_in(folder.resolve()))
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _processes_in(folder: Path) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if entry.name.isdecimal() and _is_in((entry / "cwd").readlink(), folder) and not _is_dead(entry):
                yield int(entry.name)


def _is_in(directory: Path, folder: Path) -> bool:
    return directory == folder or folder in directory.parents


def _is_dead(entry: Path) -> bool:
    """A process that has ended keeps its entry until its parent asks how."""
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
