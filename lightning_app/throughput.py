"""How fast a run trained."""

import time
from typing import Any

import pytorch_lightning as pl
import torch


class Throughput(pl.Callback):
    """Counts images and the seconds between the first and the last training batch of each epoch, without validation."""

    def __init__(self) -> None:
        self.images = 0
        self.seconds = 0.0
        self._started = 0.0

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        first = batch[0] if isinstance(batch, list | tuple) and batch else batch
        self.images += len(first) * trainer.world_size if isinstance(first, torch.Tensor) else 0

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def _stop(self) -> None:
        self.seconds += time.monotonic() - self._started
        self._started = time.monotonic()
