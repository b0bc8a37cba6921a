"""The processes of a job: they start together, and all end when one of them fails."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_app.growing_file import GrowingLines, read_file
from submit.execution.launchers import ProcessRank
from submit.execution.machine import take_away

STARTED_BY = "LIGHTNING_APP_STARTED_BY"  # the training ends when this process does
_POLL_SECONDS = 0.1
_SECONDS_FOR_THE_OTHERS = 15.0  # to notice by themselves that a process has failed
_SECONDS_TO_END = 5.0
_LAST_LINES = 20


@dataclass(frozen=True)
class ProcessStart:
    """What is started as one process of a job."""

    rank: ProcessRank
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path


@dataclass(frozen=True)
class ProcessResult:
    """How a process ended. ``status`` is negative after a signal; ``was_ended`` says that this program sent it."""

    rank: ProcessRank
    status: int
    was_ended: bool
    last_lines: Sequence[str]

    @property
    def has_failed(self) -> bool:
        return self.status != 0 and not self.was_ended


class Processes:
    """The processes of one job. Use it as a context manager: no process is left when it ends, even by an error."""

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

    def wait(
        self, timeout: float, show: Callable[[str], None], is_over: Callable[[], bool] = lambda: False
    ) -> list[ProcessResult]:
        """Waits until all have ended; meanwhile ``show`` gets the lines of rank 0's log.

        The processes are ended after ``timeout`` seconds, or as soon as ``is_over``, which is called again and again.
        Returns the results in the order of the ranks.
        """
        deadline = time.monotonic() + timeout
        lines = GrowingLines(read_file(self._starts[0].log))
        while any(process.poll() is None for process in self._running):
            if any(process.poll() for process in self._running):
                deadline = min(deadline, time.monotonic() + _SECONDS_FOR_THE_OTHERS)
            if is_over() or time.monotonic() > deadline:
                self._end()
            time.sleep(_POLL_SECONDS)
            _show_lines(lines, show)
        _show_lines(lines, show)
        return [
            ProcessResult(start.rank, process.returncode, process.pid in self._ended_by_us, _end_of_log(start.log))
            for start, process in zip(self._starts, self._running, strict=True)
        ]

    def take_away(self, node: int, folder: Path) -> None:
        """Kills the processes of a node at once, with all that they have started there.

        Args:
            node: Its number.
            folder: In which its processes run.
        """
        for start, process in zip(self._starts, self._running, strict=True):
            if start.rank.node == node and process.poll() is None:
                self._ended_by_us.add(process.pid)
                _signal(process, signal.SIGKILL)
        take_away(folder)

    def _end(self) -> None:
        alive = [process for process in self._running if process.poll() is None]
        self._ended_by_us |= {process.pid for process in alive}
        for kind in (signal.SIGTERM, signal.SIGKILL):
            for process in alive:
                _signal(process, kind)
            for process in alive:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_SECONDS_TO_END)


def _show_lines(lines: GrowingLines, show: Callable[[str], None]) -> None:
    while complete := lines.next():
        for line in complete:
            show(line.decode(errors="replace").rstrip())


def _end_of_log(log: Path) -> list[str]:
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if line.strip()][-_LAST_LINES:]


def _start(start: ProcessStart) -> subprocess.Popen[bytes]:
    start.log.parent.mkdir(parents=True, exist_ok=True)
    with start.log.open("wb") as log:
        return subprocess.Popen(
            start.command,
            cwd=start.folder,
            env=dict(start.environment) | {STARTED_BY: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its own children are ended with it
        )


def _signal(process: subprocess.Popen[bytes], kind: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, kind)
