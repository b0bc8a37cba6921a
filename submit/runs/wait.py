"""A run awaited: its log and its statuses, in plain lines, until it has ended."""

import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from submit.failures import status_of
from submit.runs.facts import ENDED, duration, error_of, moment
from submit.runs.follow import PATIENCE, follow
from submit.runs.logs import LogReader
from submit.runs.patience import persistently

if TYPE_CHECKING:
    from azureml.core import Run


def wait(run: "Run") -> int:
    """The exit status of the run: 0 Completed, 1 Failed, 3 Canceled; 130 if the user is done waiting."""
    return status_of(lambda: _wait(run), f"the run goes on; python -m submit logs {run.id} --follow shows it again")


def _wait(run: "Run") -> int:
    began = time.monotonic()

    def changed(status: str) -> None:
        _say(f"[{timedelta(seconds=int(time.monotonic() - began))}] {status}")

    status = follow(run, LogReader(run), show=_say, tell=_complain, changed=changed)
    changed(_end(run, status))
    return ENDED[status]


def _end(run: "Run", status: str) -> str:
    details = persistently(f"run {run.id}", run.get_details, PATIENCE, _complain)
    ran = duration(moment(details.get("startTimeUtc")), moment(details.get("endTimeUtc")))
    error = error_of(details)
    took = f" after {ran}" if ran is not None else ""
    return f"{status}{took}{f': {error}' if error else ''}"


def _say(line: str) -> None:
    print(line, flush=True)


def _complain(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
