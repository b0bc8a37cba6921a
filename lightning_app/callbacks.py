"""The callbacks of a run: throughput, the watchdog's progress, and a profiler that costs nothing."""

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import PassThroughProfiler

from lightning_app.watchdog.watchdog import Watchdog


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


class NoProfiler(PassThroughProfiler):
    """Lightning's own makes a new context around each of some fifty calls a step, in 50 microseconds; this one none."""

    def __init__(self) -> None:
        super().__init__()
        self._nothing: AbstractContextManager[Any] = nullcontext()

    def profile(self, action_name: str) -> Any:
        return self._nothing


class WatchdogProgress(pl.Callback):
    """A mark at the beginning of each batch and stage, well below a microsecond each."""

    def __init__(self, watchdog: Watchdog, folder: Path, stall_timeout: float) -> None:
        self._watchdog, self._folder, self._stall_timeout = watchdog, folder, stall_timeout

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._watchdog.describe(trainer.global_rank, trainer.world_size, self._folder, self._stall_timeout)
        self._advance("setup", trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance("training", trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance("training", trainer)

    def on_validation_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance("validation", trainer)

    def on_test_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance("test", trainer)

    def on_predict_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance("prediction", trainer)

    def _advance(self, stage: str, trainer: pl.Trainer) -> None:
        if self._watchdog.progress is not None:
            self._watchdog.progress.advance(stage, trainer.current_epoch, trainer.global_step)
