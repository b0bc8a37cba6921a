"""The processes of a job: started together, watched, and ended together when one of them fails."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from submit.execution.launchers import ProcessRank

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_FOR_THE_OTHERS = 15.0  # to notice by themselves that one has failed
_SECONDS_TO_END = 5.0
_LAST_LINES = 20


@dataclass(frozen=True)
class ProcessStart:
    """What is started for one place of a job."""

    place: ProcessRank
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path


@dataclass(frozen=True)
class ProcessResult:
    """How it ended; ``status`` is negative where a signal did it, ``was_ended`` where that was this program."""

    place: ProcessRank
    status: int
    was_ended: bool
    last_lines: Sequence[str]

    @property
    def has_failed(self) -> bool:
        return self.status != 0 and not self.was_ended


class Processes:
    """Those of one job. Used as a context manager: none is left when it is over, however it is over."""

    def __init__(self, starts: Sequence[ProcessStart]) -> None:
        self._starts = starts
        self._running: list[subprocess.Popen[bytes]] = []
        self._ended_by_us: set[int] = set()

    def __enter__(self) -> "Processes":
        for start in self._starts:
            self._running.append(_start(start))
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def wait(self, timeout: float, tell: Callable[[str], None]) -> list[ProcessResult]:
        """Returns when all have ended, in the order of the ranks; ``tell`` hears the lines of rank 0 meanwhile."""
        deadline = time.monotonic() + timeout
        lines = Lines(self._starts[0].log)
        while any(process.poll() is None for process in self._running):
            if any(process.poll() for process in self._running):
                deadline = min(deadline, time.monotonic() + _SECONDS_FOR_THE_OTHERS)
            if time.monotonic() > deadline:
                self._end()
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            for line in lines.new():
                tell(line)
        for line in lines.new():
            tell(line)
        return [
            ProcessResult(start.place, process.returncode, process.pid in self._ended_by_us, _last_lines(start.log))
            for start, process in zip(self._starts, self._running, strict=True)
        ]

    def _end(self) -> None:
        alive = [process for process in self._running if process.poll() is None]
        self._ended_by_us |= {process.pid for process in alive}
        for kind in (signal.SIGTERM, signal.SIGKILL):
            for process in alive:
                _signal(process, kind)
            for process in alive:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_SECONDS_TO_END)


class Lines:
    """The lines of a file that grows, each once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> list[str]:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            lines = [line for line in file if line.endswith(b"\n")]
        self._offset += sum(map(len, lines))
        return [line.decode(errors="replace").rstrip() for line in lines]


def _last_lines(log: Path) -> list[str]:
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if line.strip()][-_LAST_LINES:]


def _start(start: ProcessStart) -> subprocess.Popen[bytes]:
    start.log.parent.mkdir(parents=True, exist_ok=True)
    with start.log.open("wb") as log:
        return subprocess.Popen(
            start.command,
            cwd=start.folder,
            env=dict(start.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that what it has started itself can be ended with it
        )


def _signal(process: subprocess.Popen[bytes], kind: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, kind)
