"""Tells the watchdog where training is."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_app.watchdog.watchdog import Watchdog


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
        if self._watchdog.page is not None:
            self._watchdog.page.advance(stage, trainer.current_epoch, trainer.global_step)
