"""The process that has started this one as a launcher, and whether it still exists."""

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_app.distributed.launch import LIGHTNING, MPI, STARTED_BY, TORCHRUN, Launch

_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "env", "nice", "timeout", "time"}  # may stand between the two


class LauncherProcess:
    """The launcher, and the shells between it and this process; each must remain the parent of the next."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parent = os.getppid()
        self._above = _ancestors(self._parent)
        self._pid = self._above[-1][1] if self._above else self._parent

    def __str__(self) -> str:
        return f"its launcher ({self._name}, process {self._pid})"

    def has_ended(self) -> bool:
        return os.getppid() != self._parent or any(_parent_of(child) != parent for child, parent in self._above)


def launcher_process(launch: Launch, environment: Mapping[str, str] = os.environ) -> LauncherProcess | None:
    """None where nothing proves that the parent is a launcher: a shell that has started a training may end before it.

    The PyTorch launcher's variables can also be set by hand.
    """
    if environment.get(STARTED_BY) == str(os.getppid()):
        return LauncherProcess("rehearse")
    is_started_by_lightning = launch.launcher == LIGHTNING and launch.local_rank > 0
    if launch.launcher in (TORCHRUN, MPI) or is_started_by_lightning:
        return LauncherProcess(launch.launcher)
    return None


class _Output(io.FileIO):
    """Drops what can't be written, instead of ending the training in the middle of a step."""

    def write(self, data: Any) -> int:
        with contextlib.suppress(OSError):
            return super().write(data) or 0
        return len(data)


def print_without_launcher() -> None:
    """A launcher that reads the output of its processes takes their pipes with it when it is killed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        output = io.BufferedWriter(_Output(stream.fileno(), "w", closefd=False))
        encoding, errors = stream.encoding, stream.errors
        setattr(sys, name, io.TextIOWrapper(output, encoding, errors, line_buffering=True, write_through=True))


def _ancestors(pid: int) -> list[tuple[int, int]]:
    """Child and parent for each shell, from this process' parent upwards; empty where the system doesn't say."""
    links: list[tuple[int, int]] = []
    while _name_of(pid) in _SHELLS and (parent := _parent_of(pid)) is not None:
        links.append((pid, parent))
        pid = parent
    return links


def _name_of(pid: int) -> str | None:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return None


def _parent_of(pid: int) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        # the name in parentheses may contain spaces and parentheses
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None
