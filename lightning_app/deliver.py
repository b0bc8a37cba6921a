"""``python -m lightning_app.deliver OUTPUT_DIR``: delivers what Azure ML, or the MLflow server, doesn't have yet."""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from filelock import Timeout

from lightning_app.azureml import job as azureml_job
from lightning_app.azureml.delivery import RetryingUploader
from lightning_app.azureml.delivery_log import Undelivered, count_undelivered
from lightning_app.azureml.destination import Destination, find_destination
from lightning_app.azureml.metric_names import DEFAULT_PRIORITY
from lightning_app.errors import UsageError, one_line, too_long_name
from lightning_app.run_folder import RunFolder

_POLL_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything is delivered, 1 when something is left, 2 when the command can't work."""
    given = _parser().parse_args(arguments)
    folder = RunFolder(given.output_dir)
    try:
        destination = find_destination()
        reason = _usage_error(folder, destination)
    except UsageError as error:
        destination, reason = None, one_line(error)
    except OSError as error:
        destination, reason = None, too_long_name(error)
        if reason is None:
            raise
    if reason is not None or destination is None:
        print(f"error: {reason}", file=sys.stderr)
        return 2
    logging.disable(logging.CRITICAL)  # azureml-core logs each failure in forty lines; one is enough
    return _deliver(folder, destination, given.timeout, given.priority)


def _deliver(folder: RunFolder, destination: Destination, timeout: float, priority: Sequence[str]) -> int:
    before = count_undelivered(folder, destination.run_in(folder))
    uploader = RetryingUploader(folder, destination, priority, print, wait_for_lock=timeout)
    uploader.prepare()  # on a busy machine that takes seconds, which aren't the service's
    deadline = time.monotonic() + timeout
    _exit_after(timeout + _POLL_SECONDS, folder, destination)
    try:
        with uploader:
            while not uploader.deliver(final=True) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
    except Timeout:
        print(
            f"error: {folder.root}: another process delivers it, which it does while the training runs", file=sys.stderr
        )
        return 1
    run_id = destination.run_in(folder)
    left = count_undelivered(folder, run_id)
    print(f"{before.rows - left.rows:,} rows delivered to run {run_id}; {left} left.")
    if left:
        _print_undelivered(left, str(uploader.last_error or "the service refuses them"))
    return int(bool(left))


def _print_undelivered(left: Undelivered, why: str) -> None:
    print(f"error: {left} undelivered ({why}); the same command tries again", file=sys.stderr)


def _exit_after(seconds: float, folder: RunFolder, destination: Destination) -> None:
    """Ends the program after that time, even in a request: azureml-core waits for minutes without a response."""

    def end() -> None:
        _print_undelivered(count_undelivered(folder, destination.run_in(folder)), "the service doesn't respond")
        _exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _exit(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Python would wait for azureml-core's threads, for minutes if the service doesn't respond


def _usage_error(folder: RunFolder, destination: Destination | None) -> str | None:
    if not folder.journal.is_file():
        return f"{str(folder.root)!r}: no metrics.jsonl in it; expected the folder of a run, such as outputs"
    if destination is not None:
        return destination.obstacle
    missing = azureml_job.missing_variables()
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return (
            f"{missing[0]}{others} not set; run this in the environment of the Azure ML job to which the rows belong, "
            "or set MLFLOW_TRACKING_URI for an MLflow server"
        )
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lightning_app.deliver",
        description="Delivers the metrics and charts of a run folder that Azure ML, or the MLflow server that "
        "MLFLOW_TRACKING_URI names, hasn't acknowledged yet. It can be run any number of times: nothing is delivered "
        "twice.",
        allow_abbrev=False,
    )
    parser.add_argument("output_dir", type=Path, metavar="OUTPUT_DIR", help="the run's --output_dir")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="SECONDS", help="give up then (default: 300)")
    parser.add_argument(
        "--priority",
        nargs="+",
        default=list(DEFAULT_PRIORITY),
        metavar="PATTERN",
        help="metric names that matter most where there are more than Azure ML takes "
        f"(default: {' '.join(DEFAULT_PRIORITY)})",
    )
    return parser


if __name__ == "__main__":
    _exit(main())
