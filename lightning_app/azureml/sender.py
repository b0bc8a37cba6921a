"""``python -m lightning_app.azureml.sender FOLDER``: follows a run folder that is being written.

AzureMLRunLogger starts it. It ends when a line on its standard input says so and everything is delivered, or some time
after the training process has disappeared. Its standard output has messages for the user.
"""

import argparse
import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from filelock import Timeout

from lightning_app.azureml.delivery import RetryingUploader
from lightning_app.azureml.delivery_log import count_undelivered
from lightning_app.azureml.destination import find_destination
from lightning_app.azureml.mlflow.remembered_run import KILLED, RUNNING, note_status, read_created
from lightning_app.run_folder import RunFolder

_POLL_SECONDS = 1.0
_NICENESS = 10  # the training has priority
_ORPHAN_SECONDS = 600.0  # without success, after the training process has disappeared


class TrainingProcess:
    """The process that writes the folder: running, done, or gone."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._done = threading.Event()
        self.when_gone: Callable[[], None] = lambda: None
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def is_over(self) -> bool:
        return self._done.is_set() or self.has_gone

    @property
    def has_gone(self) -> bool:
        return os.getppid() != self._pid

    def wait(self, seconds: float) -> None:
        """Returns early when the training is done."""
        if self._done.is_set():
            time.sleep(seconds)
        else:
            self._done.wait(seconds)

    def _listen(self) -> None:
        if sys.stdin.readline():  # an empty read means that the process has gone, see has_gone
            self._done.set()


def main() -> None:
    arguments = _parse_arguments()
    with contextlib.suppress(AttributeError, OSError):  # Windows has no such function
        os.nice(_NICENESS)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("lightning_app").setLevel(logging.INFO)
    training = TrainingProcess(arguments.training_pid)
    folder = RunFolder(arguments.folder)
    destination = find_destination()
    if destination is None or destination.obstacle is not None:
        raise SystemExit(f"error: {destination.obstacle if destination else 'no service is named'}")
    if destination.creates_runs:
        training.when_gone = lambda: _note_killed(folder)
    uploader = RetryingUploader(folder, destination, arguments.priority, _print_message, wait_for_lock=_POLL_SECONDS)
    while not _has_followed(uploader, training):
        if training.is_over and not count_undelivered(folder, destination.run_in(folder)):
            break  # by another process that logs to this folder
    sys.stderr.flush()
    os._exit(0)  # Python would wait for azureml-core's threads, for minutes if the service doesn't respond


def _has_followed(uploader: RetryingUploader, training: TrainingProcess) -> bool:
    """False if another process delivers the folder."""
    try:
        with uploader:
            _follow(uploader, training)
    except Timeout:
        return False
    return True


def _follow(uploader: RetryingUploader, training: TrainingProcess) -> None:
    last_success = time.monotonic()
    while True:
        if training.has_gone:
            training.when_gone()
        is_over = training.is_over  # read before the last delivery, so that nothing is written after it
        if uploader.deliver(final=is_over):
            last_success = time.monotonic()
            if is_over:
                return
        if training.has_gone and time.monotonic() - last_success > _ORPHAN_SECONDS:
            return
        training.wait(_POLL_SECONDS)


def _note_killed(folder: RunFolder) -> None:
    """The training has gone without a word about its end."""
    if read_created(folder).get("status") == RUNNING:
        note_status(folder, KILLED)


def _print_message(line: str) -> None:
    logging.getLogger(__name__).info("%s", line)
    with contextlib.suppress(OSError):  # the training process may be gone
        print(line, flush=True)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lightning_app.azureml.sender", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--training_pid", type=int, required=True)
    parser.add_argument("--priority", nargs="*", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
