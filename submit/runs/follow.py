"""A run that goes on, watched until it has ended."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from submit.runs.facts import ENDED
from submit.runs.logs import LogReader
from submit.runs.patience import persistently

if TYPE_CHECKING:
    from azureml.core import Run

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
        status: str = persistently(f"run {run.id}", run.get_status, PATIENCE, tell)
        if status != last and status not in ENDED and changed:
            changed(status)
        come = _show_new(log, show, tell)
        if status in ENDED:
            for line in log.rest():
                show(line)
            return status
        pause = _SHORTEST_PAUSE if come or status != last else min(1.5 * pause, _LONGEST_PAUSE)
        last = status
        time.sleep(pause)


def _show_new(log: LogReader, show: Tell, tell: Tell) -> bool:
    come = False
    while (lines := persistently("the log", log.piece, PATIENCE, tell)) is not None:
        come = True
        for line in lines:
            show(line)
    return come
