"""One training at a time in a run folder."""

import atexit
import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder

_LEFT_BEHIND = 10.0  # seconds for which the workers of a killed process may keep its lock


class RunLock:
    """Held by rank 0 from the plan of a training to its end, or to that of its process.

    The operating system releases the lock of a process that dies. Where a file system has no locks, there is none.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._lock = FileLock(folder.run_lock, blocking=False)

    def acquire(self) -> None:
        """Does nothing if the lock is held already, or if there is no folder yet.

        Raises:
            UsageError: Another process trains in this folder; the message names it.
        """
        if self._lock.is_locked or not self._folder.root.is_dir():
            return
        deadline = time.monotonic() + _LEFT_BEHIND
        while not self._try():
            holder = _read_holder(self._folder.run_holder)
            if not _is_dead(holder) or time.monotonic() > deadline:
                raise UsageError(
                    f"--output_dir {str(self._folder.root)!r}: {_described(holder)} is training in this folder; wait "
                    "until it ends, end it, or give another --output_dir"
                )
            time.sleep(0.2)

    def release(self) -> None:
        atexit.unregister(self.release)
        if self._lock.is_locked:
            for path in (self._folder.run_holder, self._folder.run_lock):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            self._lock.release()

    def _try(self) -> bool:
        try:
            self._lock.acquire()
        except Timeout:
            return False
        except (OSError, NotImplementedError):  # a mount without locks
            return True
        atexit.register(self.release)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with contextlib.suppress(OSError):
            self._folder.run_holder.write_text(json.dumps(holder))
        return True


def is_alive(pid: int) -> bool:
    """Whether a process of this machine exists."""
    if os.name == "nt":
        return True  # nobody knows: os.kill would end it there
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no process has a number that large
        return False
    except OSError:  # it belongs to somebody else
        return True
    return True


def _is_dead(holder: dict[str, Any]) -> bool:
    pid = holder.get("pid")
    return holder.get("host") == socket.gethostname() and isinstance(pid, int) and not is_alive(pid)


def _read_holder(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _described(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on {holder.get('host')}, since {holder.get('since')},"


def remove_leftovers(folder: RunFolder, steps: int | None) -> None:
    """Removes what a killed process has left: unfinished files of dead processes, and charts that come again.

    This process hasn't written any: a file with its number is of an earlier container, whose processes had the same.

    Args:
        folder: The run folder, whose lock this process holds.
        steps: Steps in the checkpoint that training continues from; None keeps all charts.
    """
    for path in folder.last.parent.glob(".*.tmp"):
        pid = path.name.split(".")[-2]
        if path.name.count(".") >= 4 and pid.isdecimal() and (int(pid) == os.getpid() or not is_alive(int(pid))):
            path.unlink(missing_ok=True)
    for path in folder.charts.glob("*-step*") if steps is not None else ():
        step = path.stem.rpartition("-step")[2]
        if path.suffix in (".json", ".png") and step.isdecimal() and int(step) > (steps or 0):
            path.unlink(missing_ok=True)
