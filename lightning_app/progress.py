"""The progress of training: a bar in a terminal, plain lines in a log file."""

import sys
import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from tqdm import tqdm

from models import metric_name

_TRAIN_LOSS = metric_name("train", "loss")
_SECONDS_BETWEEN_UPDATES = 0.2
_BAR = "{desc}: {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} [{remaining} left, {rate_fmt}{postfix}]"


class EpochBar(ProgressBar):
    """A bar for each epoch, which stays on the screen with its last metrics.

    It is drawn a few times a second. Lightning's own bar is drawn after each batch, hundreds of times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bar: tqdm[Any] | None = None
        self._next_update = 0.0

    def disable(self) -> None:
        """Called by Lightning on every rank except 0."""
        self.on_train_epoch_start = self.on_train_batch_end = lambda *_: None  # type: ignore[method-assign]

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        last = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
        self._bar = tqdm(
            total=self.total_train_batches, desc=f"epoch {trainer.current_epoch + 1}{last}", bar_format=_BAR
        )

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if time.monotonic() >= self._next_update:
            self._update(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self._bar is not None:
            self._update(trainer, trainer.fit_loop.batch_idx + 1)
            self._bar.close()
            self._bar = None

    def on_exception(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()

    def _update(self, trainer: pl.Trainer, batches: int) -> None:
        self._next_update = time.monotonic() + _SECONDS_BETWEEN_UPDATES
        if self._bar is not None:
            metrics = {name: f"{float(value):.3f}" for name, value in trainer.progress_bar_metrics.items()}
            self._bar.set_postfix(metrics, refresh=False)
            self._bar.n = batches
            self._bar.refresh()


class LineLogger(Logger):
    """Prints logged metrics in the tutorials' format: ``epoch=1, batch= 2000: loss 2.19``.

    It is a logger, so that it prints a line whenever metrics are logged, by any model or callback.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        super().__init__()
        self._trainer = trainer

    @property
    def name(self) -> str:
        return "lines"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        values = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        if not values or self._trainer.testing:  # the summary at the end has the test metrics
            return
        if _TRAIN_LOSS in values:
            text = f"loss {values[_TRAIN_LOSS]:.2f}"
        else:
            text = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        print(f"{self._position(values)}: {text}", flush=True)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing to print."""

    def _position(self, metrics: Mapping[str, float]) -> str:
        epoch = f"epoch={self._trainer.current_epoch + 1}"
        whole_epoch = all(name.startswith("val_") for name in metrics)
        return epoch if whole_epoch else f"{epoch}, batch={self._trainer.fit_loop.batch_idx + 1:5}"


def in_terminal() -> bool:
    """Whether the output is a terminal, where a line can be overwritten."""
    return sys.stdout.isatty() and sys.stderr.isatty()
