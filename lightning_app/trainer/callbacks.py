"""Callbacks that measure throughput and report progress to the watchdog, and a profiler without overhead."""

import math
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import PassThroughProfiler

from lightning_app.trainer.step_hooks import StepHooks
from lightning_app.watchdog.watchdog import Watchdog


class Throughput(StepHooks, pl.Callback):
    """Counts the training images of all processes and the seconds of the training epochs, without validation."""

    def __init__(self) -> None:
        self.images = 0
        self.seconds = 0.0
        self._started = 0.0
        self._processes = 1

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started, self._processes = time.monotonic(), trainer.world_size

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._count(batch)

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: torch.Tensor | None) -> None:
        self._count(batch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def _count(self, batch: Any) -> None:
        first = batch[0] if isinstance(batch, list | tuple) and batch else batch
        self.images += first.size(0) * self._processes if isinstance(first, torch.Tensor) else 0

    def _stop(self) -> None:
        self.seconds += time.monotonic() - self._started
        self._started = time.monotonic()


class LogIntervalWithinEpoch(pl.Callback):
    """Shortens the interval between logged steps to an epoch, so that each epoch leaves its metrics.

    It is for an interval that nobody has chosen; an ``ImageClassifier`` logs at each epoch's end at any interval.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        batches = trainer.num_training_batches  # infinite for data of unknown length
        steps = max(1, batches // trainer.accumulate_grad_batches)
        trainer.log_every_n_steps = int(min(trainer.log_every_n_steps, steps))  # type: ignore[attr-defined]  # a connector sets it


class LogLearningRate(StepHooks, pl.Callback):
    """Adds ``learning_rate`` to the rows that a module logs by ``self.log``; of the first group of parameters.

    An ``ImageClassifier`` logs it itself, with its own rows.
    """

    def batches_without_hooks(self, trainer: pl.Trainer, batch_idx: int) -> float:
        return math.inf  # steps that Lightning logs have all hooks anyway

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer._logger_connector.should_update_logs and trainer.optimizers:
            pl_module.log("learning_rate", trainer.optimizers[0].param_groups[0]["lr"], on_step=True, on_epoch=False)


class NoProfiler(PassThroughProfiler):
    """Reuses one empty context. Lightning's own creates one for each of about fifty calls, 50 microseconds a step."""

    def __init__(self) -> None:
        super().__init__()
        self._context: AbstractContextManager[Any] = nullcontext()

    def profile(self, action_name: str) -> Any:
        return self._context


class WatchdogProgress(StepHooks, pl.Callback):
    """Reports the start of each batch and stage to the watchdog; a report takes less than a microsecond."""

    def __init__(self, watchdog: Watchdog, folder: Path, stall_timeout: float) -> None:
        self._watchdog, self._folder, self._stall_timeout = watchdog, folder, stall_timeout

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._watchdog.describe(trainer.global_rank, trainer.world_size, self._folder, self._stall_timeout)
        self._advance("setup", trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance("training", trainer)

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: torch.Tensor | None) -> None:
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
