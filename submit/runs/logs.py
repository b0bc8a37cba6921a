"""The logs of a run: read, followed, and waited for."""

import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import PurePosixPath

from lightning_app.growing_file import GrowingLines
from submit.errors import SubmitError, exit_status
from submit.interface import RemoteFile, Run
from submit.runs.retry import retry
from submit.runs.run_info import ENDED

Show = Callable[[str], None]

FOLDERS = ("user_logs/", "system_logs/", "azureml-logs/", "logs/")
FOLLOW_TIMEOUT = 3600.0  # seconds without a response; the run continues in any case
_EVENTS = "events.out.tfevents."  # the beginning of the names of TensorBoard's files, which aren't text
_PIECE = 4 * 2**20  # bytes per request
_SHORTEST_DELAY = 0.5
_LONGEST_DELAY = 10.0
# the log of rank 0, as Azure ML has named it over the years; the numbers of many ranks have leading zeros
_FIRST = (r"user_logs/std_log_process_0+\.txt", r"user_logs/std_log\.txt", r"azureml-logs/70_driver_log(_0+)?\.txt")
_ANY = (r"user_logs/std_log.*\.txt", r"azureml-logs/.*\.txt")


def log_names(run: Run) -> Sequence[str]:
    """The logs that can be read: of the folders with logs the files of text."""
    names = [path for path in run.paths() if path.startswith(FOLDERS)]
    return [name for name in names if not PurePosixPath(name).name.startswith(_EVENTS)]


def default_log(names: Iterable[str]) -> str | None:
    """The log of rank 0, or of the first rank that has one."""
    names = sorted(names)
    return next((name for pattern in (*_FIRST, *_ANY) for name in names if re.fullmatch(pattern, name)), None)


def named_log(names: Sequence[str], text: str) -> str:
    """A log by its full name or by its file name.

    Raises:
        SubmitError: There is no such log, or several.
    """
    matching = [name for name in names if text in (name, PurePosixPath(name).name)]
    if len(matching) != 1:
        raise SubmitError(f"--file {text!r}: expected one of {', '.join(names) or 'none: the run has no log yet'}")
    return matching[0]


class LogReader:
    """Reads a growing log, each line once; a read that fails changes nothing.

    Args:
        run: The run.
        name: The log; None for that of rank 0 as soon as it exists.
    """

    def __init__(self, run: Run, name: str | None = None) -> None:
        self._run = run
        self._file: RemoteFile | None = None
        self._lines = GrowingLines(self._read, _PIECE)
        self.name = name

    def next_lines(self) -> list[str]:
        """The complete lines that come next; empty if there are none."""
        return [_to_text(line) for line in self._lines.next()]

    def last_lines(self) -> list[str]:
        """What follows the last complete line, when the log has ended."""
        return [_to_text(line) for line in self._lines.rest().splitlines()]

    def _read(self, offset: int, length: int) -> bytes:
        self.name = self.name or default_log(log_names(self._run))
        if self.name is None:
            return b""
        self._file = self._file or self._run.file(self.name)
        return self._file.read(offset, length)


def _to_text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\r")


def show_new_lines(log: LogReader, show: Show, warn: Show, timeout: float) -> bool:
    """Shows the complete lines that there are; returns whether there were any."""
    any_shown = False
    while lines := retry("the log", log.next_lines, timeout, warn):
        any_shown = True
        for line in lines:
            show(line)
    return any_shown


def show_last_lines(log: LogReader, show: Show, warn: Show, timeout: float) -> None:
    """Shows an incomplete last line, when the log has ended."""
    for line in retry("the log", log.last_lines, timeout, warn):
        show(line)


def follow(run: Run, log: LogReader, show: Show, warn: Show, status_changed: Show | None = None) -> str:
    """Shows each line of a run's log until the run has ended, and returns its status.

    Args:
        run: The run.
        log: Its log.
        show: Gets the lines of the log.
        warn: Gets warnings about the connection.
        status_changed: Gets each status except the final one.

    Raises:
        ServiceError: Azure ML refuses a request, or didn't respond for too long.
    """
    delay, last = _SHORTEST_DELAY, ""
    while True:
        # requested before the log is read, so that the log is complete when the run has ended
        status: str = retry(f"run {run.id}", run.status, FOLLOW_TIMEOUT, warn)
        if status != last and status not in ENDED and status_changed:
            status_changed(status)
        any_shown = show_new_lines(log, show, warn, FOLLOW_TIMEOUT)
        if status in ENDED:
            show_last_lines(log, show, warn, FOLLOW_TIMEOUT)
            return status
        delay = _SHORTEST_DELAY if any_shown or status != last else min(1.5 * delay, _LONGEST_DELAY)
        last = status
        time.sleep(delay)


def wait_for_run(run: Run) -> int:
    """Follows a run. Returns its exit status: 0 Completed, 1 Failed, 3 Canceled; 130 after Ctrl-C."""
    return exit_status(
        lambda: _follow_to_end(run), f"the run continues; python -m submit logs {run.id} --follow shows it again"
    )


def _follow_to_end(run: Run) -> int:
    began = time.monotonic()

    def status_changed(status: str) -> None:
        _print_line(f"[{timedelta(seconds=int(time.monotonic() - began))}] {status}")

    status = follow(run, LogReader(run), show=_print_line, warn=_print_error, status_changed=status_changed)
    status_changed(_ending(run, status))
    return ENDED[status]


def _ending(run: Run, status: str) -> str:
    state = retry(f"run {run.id}", run.state, FOLLOW_TIMEOUT, _print_error)
    after = f" after {state.duration}" if state.duration is not None else ""
    return f"{status}{after}{f': {state.error}' if state.error else ''}"


def _print_line(line: str) -> None:
    print(line, flush=True)


def _print_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
