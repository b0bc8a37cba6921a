"""``python -m submit logs``: what a run has printed."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from submit.commands.flags import add_run
from submit.errors import FAILED, ServiceError, exit_status

if TYPE_CHECKING:
    from azureml.core import Run

    from submit.runs.logs import LogReader

TAKES_TRAINING_FLAGS = False
_PATIENCE = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--file", metavar="NAME", help="such as std_log_process_1.txt (default: the log of rank 0)")
    which.add_argument("--list", action="store_true", help="show the names of the logs")
    parser.add_argument("--follow", action="store_true", help="go on until the run has ended")


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    try:
        return exit_status(lambda: _logs(options), "nothing was changed")
    except BrokenPipeError:  # who reads has enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains when it ends
        return FAILED


def _logs(options: argparse.Namespace) -> int:
    from submit.runs.logs import LogReader, log_names, named_log
    from submit.runs.retry import service_errors
    from submit.runs.run_info import find_run

    found = find_run(options.run_id, options.workspace)
    with service_errors(f"the logs of {found.id}"):
        names = log_names(found) if options.list or options.file else []
    if options.list:
        _print_all(names)
        return 0
    log = LogReader(found, named_log(names, options.file) if options.file else None)
    return _follow(found, log) if options.follow else _print_log(found, log)


def _follow(found: "Run", log: "LogReader") -> int:
    from submit.runs.logs import follow

    status = follow(found, log, show=_say, tell=_tell)
    _tell(f"The run has ended: {status}.")
    return 0


def _print_log(found: "Run", log: "LogReader") -> int:
    from submit.runs.retry import retry

    while (lines := retry("the log", log.piece, _PATIENCE, _tell)) is not None:
        _print_all(lines)
    _print_all(log.rest())
    if log.name is None:
        raise ServiceError(f"run {found.id} has no log yet")
    return 0


def _print_all(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)
    sys.stdout.flush()


def _say(line: str) -> None:
    print(line, flush=True)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
