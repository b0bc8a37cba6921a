"""``python -m lightning_app.azureml.sender FOLDER``: follows a run folder that is being written.

AzureMLRunLogger starts it. It ends when it is told to on its standard input and everything is delivered, or by itself
when training has gone without a word; its own standard output carries lines for the user.
"""

import argparse
import contextlib
import logging
import os
import sys
import threading
import time
from pathlib import Path

from lightning_app.azureml.delivery import RetryingUploader
from lightning_app.run_folder import RunFolder

_SECONDS_BETWEEN_LOOKS = 1.0
_NICENESS = 10  # training's processes go first
_ORPHAN_SECONDS = 600.0  # without success, after training has gone


class TrainingProcess:
    """The process that writes the folder: at work, done, or gone without a word."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._said_done = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def is_over(self) -> bool:
        return self._said_done.is_set() or self.has_gone

    @property
    def has_gone(self) -> bool:
        return os.getppid() != self._pid

    def wait(self, seconds: float) -> None:
        """Returns early when training says that it is done."""
        if self._said_done.is_set():
            time.sleep(seconds)
        else:
            self._said_done.wait(seconds)

    def _listen(self) -> None:
        if sys.stdin.readline():  # nothing at all is the end of the process, which has_gone sees
            self._said_done.set()


def main() -> None:
    arguments = _parsed()
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("lightning_app").setLevel(logging.INFO)
    training = TrainingProcess(arguments.training_pid)
    with RetryingUploader(RunFolder(arguments.folder), arguments.priority, _tell) as session:
        _follow(session, training)
    sys.stderr.flush()
    os._exit(0)  # azureml-core's threads would be waited for, for minutes if the service is silent


def _follow(session: RetryingUploader, training: TrainingProcess) -> None:
    last_success = time.monotonic()
    while True:
        is_over = training.is_over  # asked before the last look, so that nothing is written after it
        if session.deliver(at_the_end=is_over):
            last_success = time.monotonic()
            if is_over:
                return
        if training.has_gone and time.monotonic() - last_success > _ORPHAN_SECONDS:
            return
        training.wait(_SECONDS_BETWEEN_LOOKS)


def _tell(line: str) -> None:
    logging.getLogger(__name__).info("%s", line)
    with contextlib.suppress(OSError):  # training may be gone
        print(line, flush=True)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lightning_app.azureml.sender", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--training_pid", type=int, required=True)
    parser.add_argument("--priority", nargs="*", default=[])
    return parser.parse_args()


if __name__ == "__main__":
    main()
