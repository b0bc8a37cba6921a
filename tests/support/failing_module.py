"""A network whose training fails on one rank; environment variables select when and how."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from models import CifarNet

_FAILURES = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "raise": lambda: _raise(),
    "exit": lambda: sys.exit(3),
    "leave": lambda: sys.exit(0),
    "loop": lambda: _loop(),
}


class Failing(CifarNet):
    """Fails on FAIL_RANK at FAIL_WHEN (start, training or validation) as FAIL_HOW says.

    Immediately before, it creates the file ``failed`` in the folder FAIL_FOLDER.
    """

    def on_fit_start(self) -> None:
        self._fail("start")

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 5:
            self._fail("training")
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        self._fail("validation")
        return super().validation_step(batch, batch_idx)

    def _fail(self, when: str) -> None:
        if os.environ["FAIL_WHEN"] == when and self.global_rank == int(os.environ["FAIL_RANK"]):
            time.sleep(1)  # the other processes reach their next collective operation, and wait there
            Path(os.environ["FAIL_FOLDER"], "failed").touch()
            _FAILURES[os.environ["FAIL_HOW"]]()


def _raise() -> None:
    raise ValueError("the third image is a cat")


def _loop() -> None:
    while True:
        pass
