"""The logs of a run: read, followed, and waited for."""

import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from submit.errors import SubmitError, exit_status
from submit.runs import artifacts
from submit.runs.retry import retry
from submit.runs.run_info import ENDED, duration, error_of, to_datetime

if TYPE_CHECKING:
    from azureml.core import Run

FOLDERS = ("user_logs/", "system_logs/", "azureml-logs/", "logs/")
_PIECE = 4 * 2**20
# of rank 0, by what Azure ML has called it over the years; with many ranks their numbers have leading zeros
_FIRST = (r"user_logs/std_log_process_0+\.txt", r"user_logs/std_log\.txt", r"azureml-logs/70_driver_log(_0+)?\.txt")
_ANY = (r"user_logs/std_log.*\.txt", r"azureml-logs/.*\.txt")


def log_names(run: "Run") -> Sequence[str]:
    return [path for path in artifacts.list_paths(run) if path.startswith(FOLDERS)]


def default_log(names: Iterable[str]) -> str | None:
    """The log of rank 0, or else of the first rank that has one."""
    names = sorted(names)
    return next((name for pattern in (*_FIRST, *_ANY) for name in names if re.fullmatch(pattern, name)), None)


def named_log(names: Sequence[str], asked: str) -> str:
    """A log by its whole name, or by its last part.

    Raises:
        SubmitError: There is none, or several.
    """
    found = [name for name in names if asked in (name, PurePosixPath(name).name)]
    if len(found) != 1:
        raise SubmitError(f"--file {asked!r}: expected one of {', '.join(names) or 'none: the run has no log yet'}")
    return found[0]


class LogReader:
    """Reads a log that grows, from where it was the last time; a read that fails changes nothing.

    Args:
        run: The run.
        name: The log; None for rank 0's as soon as there is one.
    """

    def __init__(self, run: "Run", name: str | None = None) -> None:
        self._run = run
        self._artifact: artifacts.Artifact | None = None
        self._position = 0
        self._unfinished = b""
        self.name = name

    def piece(self) -> list[str] | None:
        """The lines that are complete with what comes next; None where nothing has come."""
        found = self._read()
        if not found:
            return None
        self._position += len(found)
        *lines, self._unfinished = (self._unfinished + found).split(b"\n")
        return [_text(line) for line in lines]

    def rest(self) -> list[str]:
        """The last line, if the log has ended without ending it."""
        unfinished, self._unfinished = self._unfinished, b""
        return [_text(unfinished)] if unfinished else []

    def _read(self) -> bytes:
        self.name = self.name or default_log(log_names(self._run))
        if self.name is None:
            return b""
        self._artifact = self._artifact or artifacts.Artifact(self._run, self.name)
        return self._artifact.ask(lambda blob: blob.read(self._position, _PIECE))


def _text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\r")


Tell = Callable[[str], None]

PATIENCE = 3600.0  # seconds in which Azure ML may be away; the run goes on without anybody who watches
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


def follow(run: "Run", log: LogReader, show: Tell, tell: Tell, changed: Tell | None = None) -> str:
    """Shows each line of the log once, and returns the status in which the run has ended.

    Args:
        run: The run.
        log: Its log.
        show: Gets the lines of the log.
        tell: Gets what is to be said about the connection.
        changed: Gets each status but the one in which the run has ended.

    Raises:
        FailureError: Azure ML refuses to answer, or was away for too long.
    """
    pause, last = _SHORTEST_PAUSE, ""
    while True:
        # asked before the log is read: what a run that has ended printed is there to be read
        status: str = retry(f"run {run.id}", run.get_status, PATIENCE, tell)
        if status != last and status not in ENDED and changed:
            changed(status)
        come = _show_new_lines(log, show, tell)
        if status in ENDED:
            for line in log.rest():
                show(line)
            return status
        pause = _SHORTEST_PAUSE if come or status != last else min(1.5 * pause, _LONGEST_PAUSE)
        last = status
        time.sleep(pause)


def _show_new_lines(log: LogReader, show: Tell, tell: Tell) -> bool:
    come = False
    while (lines := retry("the log", log.piece, PATIENCE, tell)) is not None:
        come = True
        for line in lines:
            show(line)
    return come


def wait_for_run(run: "Run") -> int:
    """The exit status of the run: 0 Completed, 1 Failed, 3 Canceled; 130 if the user is done waiting."""
    return exit_status(
        lambda: _follow_to_end(run), f"the run goes on; python -m submit logs {run.id} --follow shows it again"
    )


def _follow_to_end(run: "Run") -> int:
    began = time.monotonic()

    def changed(status: str) -> None:
        _print_line(f"[{timedelta(seconds=int(time.monotonic() - began))}] {status}")

    status = follow(run, LogReader(run), show=_print_line, tell=_print_error, changed=changed)
    changed(_ending(run, status))
    return ENDED[status]


def _ending(run: "Run", status: str) -> str:
    details = retry(f"run {run.id}", run.get_details, PATIENCE, _print_error)
    ran = duration(to_datetime(details.get("startTimeUtc")), to_datetime(details.get("endTimeUtc")))
    error = error_of(details)
    took = f" after {ran}" if ran is not None else ""
    return f"{status}{took}{f': {error}' if error else ''}"


def _print_line(line: str) -> None:
    print(line, flush=True)


def _print_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
