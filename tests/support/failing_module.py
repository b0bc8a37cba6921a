"""A network whose training fails on one rank, as the environment says; it notes when."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from models import CifarNet

_WAYS = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "raise": lambda: _raise(),
    "exit": lambda: sys.exit(3),
    "leave": lambda: sys.exit(0),
    "loop": lambda: _loop(),
}


class Failing(CifarNet):
    """Fails at FAIL_WHEN (start, training or validation) on FAIL_RANK in the way of FAIL_HOW."""

    def on_fit_start(self) -> None:
        with Path(os.environ["FAIL_NOTES"], f"pid-{self.global_rank}").open("w") as file:
            file.write(str(os.getpid()))
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
            # the others write their numbers at the start, too
            time.sleep(1)
            Path(os.environ["FAIL_NOTES"], "failed").touch()
            _WAYS[os.environ["FAIL_HOW"]]()


def _raise() -> None:
    raise ValueError("the third image is a cat")


def _loop() -> None:
    while True:
        pass
