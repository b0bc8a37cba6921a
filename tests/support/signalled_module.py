"""A network whose process gets a signal in the middle of its work; environment variables select when and which."""

import json
import os
import signal
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from models import CifarNet


class Signalled(CifarNet):
    """Sends SIGNAL_NAME to its own process, or to its process group, once, at SIGNAL_WHEN on SIGNAL_RANK.

    SIGNAL_WHEN is setup, training, validation, checkpoint, epoch_end, fit_end or test; SIGNAL_RANK is a rank or "all",
    and SIGNAL_TO is "process" or "group". With SIGNAL_HANG it never ends that step.

    With EVICTION_URL, the emulator there announces that the machine will be taken away in EVICTION_SECONDS, instead.
    """

    is_sent = False

    def setup(self, stage: str) -> None:
        if self.trainer.state.fn == "fit":
            self._signal("setup")

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if self.global_step == 5:
            self._signal("training")
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        if batch_idx == 1:
            self._signal("validation")
        return super().validation_step(batch, batch_idx)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._signal("checkpoint")

    def on_train_epoch_end(self) -> None:
        self._signal("epoch_end")

    def on_fit_end(self) -> None:
        self._signal("fit_end")

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        self._signal("test")
        return super().test_step(batch, batch_idx)

    def _signal(self, when: str) -> None:
        if os.environ.get("SIGNAL_WHEN") != when or self.is_sent:
            return
        self.is_sent = True
        Path(os.environ["SIGNAL_FOLDER"], f"reached-{self.global_rank}").write_text(str(os.getpid()))
        if os.environ["SIGNAL_RANK"] in ("all", str(self.global_rank)):
            if "EVICTION_URL" in os.environ:
                _announce()
                return
            number = signal.Signals[os.environ["SIGNAL_NAME"]]
            if os.environ.get("SIGNAL_TO") == "group":
                os.killpg(0, number)
            else:
                os.kill(os.getpid(), number)
            while "SIGNAL_HANG" in os.environ:
                pass


def _announce() -> None:
    """And waits until the watcher, which asks each second, has noticed."""
    body = json.dumps({"nodes": ["node"], "seconds": float(os.environ["EVICTION_SECONDS"])})
    address = urlsplit(os.environ["EVICTION_URL"])
    connection = HTTPConnection(str(address.hostname), address.port)
    connection.request("POST", "/emulator/evictions", body)
    assert connection.getresponse().status == 200
    connection.close()
    time.sleep(3)
