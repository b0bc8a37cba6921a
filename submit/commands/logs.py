"""``python -m submit logs``: prints the log of a run."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from submit.commands.flags import add_run, find_run
from submit.errors import FAILED, ServiceError, exit_status

if TYPE_CHECKING:
    from submit.interface import Run
    from submit.runs.logs import LogReader

TAKES_TRAINING_FLAGS = False
_TIMEOUT = 60.0  # seconds without a response


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--file", metavar="NAME", help="such as std_log_process_1.txt (default: the log of rank 0)")
    which.add_argument("--list", action="store_true", help="print the names of the logs")
    parser.add_argument("--follow", action="store_true", help="continue until the run has ended")


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    try:
        return exit_status(lambda: _logs(options), "nothing was changed")
    except BrokenPipeError:  # the reader has ended, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        return FAILED


def _logs(options: argparse.Namespace) -> int:
    from submit.runs.logs import LogReader, log_names, named_log
    from submit.runs.retry import service_errors

    run = find_run(options)
    with service_errors(f"the logs of {run.id}"):
        names = log_names(run) if options.list or options.file else []
    if options.list:
        print("\n".join(names))
        return 0
    log = LogReader(run, named_log(names, options.file) if options.file else None)
    return _follow(run, log) if options.follow else _print_log(run, log)


def _follow(run: "Run", log: "LogReader") -> int:
    from submit.runs.logs import follow

    status = follow(run, log, show=_print_line, warn=_print_error)
    _print_error(f"The run has ended: {status}.")
    return 0


def _print_log(run: "Run", log: "LogReader") -> int:
    from submit.runs.logs import show_last_lines, show_new_lines

    show_new_lines(log, _print_line, _print_error, _TIMEOUT)
    show_last_lines(log, _print_line, _print_error, _TIMEOUT)
    if log.name is None:
        raise ServiceError(f"run {run.id} has no log yet")
    return 0


def _print_line(line: str) -> None:
    print(line, flush=True)


def _print_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
