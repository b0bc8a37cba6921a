"""A small module that logs given values, and terminals of any width."""

import fcntl
import os
import pty
import struct
import termios
import threading
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

BATCHES = 4


class Scripted(pl.LightningModule):
    """Logs the given values, one for each epoch; a name that starts with ``val_`` in the validation."""

    def __init__(self, **values: list[float]) -> None:
        super().__init__()
        self.values = values
        self.layer = torch.nn.Linear(1, 1)
        self.log_settings: dict[str, Any] = {}

    def training_step(self, batch: Tensor) -> Tensor:
        self._log("train_")
        loss: Tensor = self.layer(batch).sum()
        return loss

    def validation_step(self, batch: Tensor) -> None:
        self._log("val_")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def _log(self, prefix: str) -> None:
        for name, values in self.values.items():
            if name.startswith(prefix):
                self.log(name, values[self.current_epoch], **self.log_settings)


def data() -> "DataLoader[Any]":
    return DataLoader(torch.ones(BATCHES, 1))  # type: ignore[arg-type]  # a tensor is a data set


def trainer(model: Scripted, folder: Path, **settings: Any) -> pl.Trainer:
    """Trains an epoch for each value, on the CPU, with what the settings add."""
    epochs = {"max_epochs": len(next(iter(model.values.values()), [0]))}
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(default_root_dir=folder, accelerator="cpu", **epochs | quiet | settings)


class Terminal:
    """A terminal of the given width; what is written to ``file`` is kept."""

    def __init__(self, columns: int) -> None:
        self._controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.file = os.fdopen(terminal, "w")
        self._written = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def text(self) -> str:
        """All that was written; closes the terminal."""
        self.file.close()
        self._reader.join()
        return self._written.decode()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._controller, 4096):
                self._written += chunk
        except OSError:  # a terminal's reading end fails this way when all writers have closed it
            os.close(self._controller)
