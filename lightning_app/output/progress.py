"""The progress of training: a bar in a terminal, plain lines in a log file."""

import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from tqdm import tqdm

from lightning_app.console import print_line
from lightning_app.output.summary import duration, shown_metrics
from lightning_app.trainer.step_hooks import StepHooks
from models import metric_name

_LOSS_LINE = {metric_name("train", "loss"), metric_name("train", "accuracy"), "learning_rate"}
_TRAIN_LOSS = metric_name("train", "loss")
_SECONDS_BETWEEN_UPDATES = 0.2
_BAR = "{desc}: {percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} [{remaining} left, {rate_fmt}{postfix}]"
_NARROW_BAR = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{remaining} left, {rate_fmt}{postfix}]"
_NARROW = 75  # columns
_CHANGES = 3  # columns by which the speed may become longer until the bar is drawn
# what the line of an epoch has first; it has as many metrics as fit, at least one
_FIRST = [metric_name("val", "loss"), metric_name("val", "accuracy"), metric_name("train", "loss")]


class EpochBar(StepHooks, ProgressBar):
    """A bar for each epoch, with as many metrics as fit; a line with its last metrics takes its place.

    It is drawn a few times a second. Lightning's own bar is drawn after each batch, hundreds of times a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._bar: tqdm[Any] | None = None
        self._next_update = self._started = 0.0

    def disable(self) -> None:
        """Called by Lightning on every rank except 0, and while it looks for a learning rate or a batch size."""
        self._enabled = False

    def enable(self) -> None:
        self._enabled = getattr(rank_zero_only, "rank", 0) == 0

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._finish_epoch(trainer)
        if self._enabled:
            self._started = time.monotonic()
            last = "" if trainer.max_epochs in (None, -1) else f"/{trainer.max_epochs}"
            total = self.total_train_batches
            self._bar = tqdm(
                total=int(total) if total != float("inf") else None,
                desc=f"epoch {trainer.current_epoch + 1}{last}",
                bar_format=_NARROW_BAR if _columns() < _NARROW else _BAR,
                dynamic_ncols=True,
                leave=False,
            )

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self._bar is not None and time.monotonic() >= self._next_update:
            self._update(self._bar, trainer, batch_idx + 1)

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: Any) -> None:
        if self._bar is not None and time.monotonic() >= self._next_update:
            self._update(self._bar, trainer, batch_idx + 1)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if self._bar is not None and time.monotonic() >= self._next_update:
            self._draw(self._bar, [f"validation batch {batch_idx + 1}"])

    def on_train_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._finish_epoch(trainer)

    def on_exception(self, *_: Any) -> None:
        self._close()

    def _update(self, bar: "tqdm[Any]", trainer: pl.Trainer, batches: int) -> None:
        bar.n = batches
        self._draw(bar, [f"{name}={float(value):.3f}" for name, value in trainer.progress_bar_metrics.items()])

    def _draw(self, bar: "tqdm[Any]", texts: Sequence[str]) -> None:
        self._next_update = time.monotonic() + _SECONDS_BETWEEN_UPDATES
        bar.set_postfix_str("", refresh=False)
        bar.set_postfix_str(_fitting(texts, room=_columns() - len(str(bar)) - _CHANGES), refresh=False)
        bar.refresh()

    def _finish_epoch(self, trainer: pl.Trainer) -> None:
        """Replaces the bar by a line; called when all callbacks and the model have logged the epoch's metrics."""
        if self._bar is not None:
            title = f"{self._bar.desc.removesuffix(': ')}: {duration(time.monotonic() - self._started)}"
            self._close()
            metrics = shown_metrics(trainer.callback_metrics)
            names = sorted(metrics, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
            texts = [f"{name} {metrics[name]:.4g}" for name in names]
            room = _columns() - 1 - len(f"{title}, ")
            shown = _fitting(texts, room) or "".join(texts[:1])
            print_line(f"{title}, {shown}" if shown else title)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _fitting(texts: Sequence[str], room: int) -> str:
    """As many of the texts as fit into ``room`` columns, with a separator in front of each."""
    joined = ""
    for text in texts:
        if len(f"{joined}, {text}") > room:
            break
        joined += f", {text}"
    return joined.removeprefix(", ")


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
        if _TRAIN_LOSS in values and values.keys() <= _LOSS_LINE:
            text = f"loss {values[_TRAIN_LOSS]:.2f}"
        else:
            text = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        print_line(f"{self._position(values)}: {text}")

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
