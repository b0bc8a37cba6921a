"""What is said of a run as a whole: its device at the start, and the summary at the end."""

import logging
import shutil
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer
from torch import Tensor

from lightning_app.checkpointing.checkpoints import RunCheckpoints
from lightning_app.console import format_count
from lightning_app.output.devices import device_text, unused_gpus
from lightning_app.trainer.callbacks import Throughput
from lightning_app.trainer.nonfinite import NonFiniteLoss
from lightning_app.trainer.run_trainer import complete_epochs

log = logging.getLogger(__name__)

C = TypeVar("C", bound=pl.Callback)
_INDENT = 12
_SHOWN = 12  # metrics


class RunRecord(pl.Callback):
    """Says at the start what the training runs on, and keeps what the summary needs after the test."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self.seconds = 0.0
        self.device = ""
        self.metrics: dict[str, float] = {}
        self.ended_early: str | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.device = device_text(trainer)
        log.info("Training on %s.", self.device)
        if (unused := unused_gpus(trainer)) is not None:
            log.warning("%s", unused)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = time.monotonic() - self._started
        self.metrics = shown_metrics(trainer.callback_metrics)
        self.ended_early = end_reason(trainer)


def shown_metrics(metrics: Mapping[str, Tensor | float]) -> dict[str, float]:
    """Those of the validation first; of a metric in the forms ``x``, ``x_step`` and ``x_epoch`` only the last one."""
    names = [name for name in metrics if not ({f"{name}_epoch", f"{name.removesuffix('_step')}_epoch"} & {*metrics})]
    names.sort(key=lambda name: not name.startswith("val"))
    return {name: float(metrics[name]) for name in names}


def end_reason(trainer: pl.Trainer) -> str | None:
    """Why training ended before the last epoch or step that was asked for; None if it didn't."""
    epochs, steps = trainer.max_epochs, trainer.max_steps
    if not trainer.should_stop or 0 <= (epochs or -1) <= complete_epochs(trainer) or 0 <= steps <= trainer.global_step:
        return None
    for stopping in trainer.early_stopping_callbacks:
        if stopping.stopping_reason_message:
            return f"by EarlyStopping: {stopping.stopping_reason_message.partition(' Signaling')[0].rstrip('.')}"
    for timer in trainer.callbacks:  # type: ignore[attr-defined]  # a connector of the Trainer sets it
        if isinstance(timer, Timer) and (timer.time_remaining() or 0) <= 0:
            return "after the time that --trainer.max_time allows"
    return "by a callback or the model"


def summary(trainer: pl.Trainer, metrics: Mapping[str, float], checkpoints: Sequence[Path]) -> list[str]:
    """The lines that are printed at the end of a run; ``metrics`` are those of the test."""
    record, throughput = _callback(trainer, RunRecord), _callback(trainer, Throughput)
    done = f"{format_count(complete_epochs(trainer), 'epoch')}, {format_count(trainer.global_step, 'step')}"
    lines = [f"Finished: {done}."]
    if throughput is not None and throughput.seconds:
        lines[0] += f" Trained {throughput.images_per_second:,.0f} images a second."
    if record is not None and record.device:
        lines.append(f"Time:       {duration(record.seconds)} on {record.device}")
        lines += wrapped(f"Ended:      early, {record.ended_early}", _INDENT) if record.ended_early else []
        lines += _nonfinite_line(trainer)
        lines += listed("Last:", record.metrics)
    lines += _best_line(trainer)
    return [*lines, *listed("Test:", metrics), *(f"Checkpoint: {path}" for path in checkpoints)]


def left_nothing_usable(trainer: pl.Trainer) -> bool:
    """Whether training ended with a loss that is NaN or infinite, and no best checkpoint is left from before."""
    loss, checkpoints = _callback(trainer, NonFiniteLoss), _callback(trainer, RunCheckpoints)
    found = loss is not None and loss.is_last and (checkpoints is None or checkpoints.monitor.best is None)
    return bool(trainer.strategy.broadcast(found))


def listed(title: str, metrics: Mapping[str, float]) -> list[str]:
    """``Test:       test_loss 0.0065, test_accuracy 0.9980``, in lines that fit the terminal; none without metrics."""
    if not metrics:
        return []
    shown = [f"{name} {value:.4f}" for name, value in metrics.items()][:_SHOWN]
    more = len(metrics) - len(shown)
    text = ", ".join(shown) + (f" and {more} more" if more else "")
    return wrapped(title.ljust(_INDENT) + text, _INDENT)


def wrapped(text: str, indent: int) -> list[str]:
    """The text in lines that fit the terminal."""
    width = max(40, shutil.get_terminal_size().columns - 1)
    joined = text.replace(" ", "\0").replace(",\0", ", ")  # a line ends after a comma: a name stays with its value
    lines = textwrap.wrap(joined, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]


def duration(seconds: float) -> str:
    """``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _best_line(trainer: pl.Trainer) -> list[str]:
    checkpoints = _callback(trainer, RunCheckpoints)
    best = checkpoints.monitor.best if checkpoints is not None else None
    if checkpoints is None or best is None:
        return []
    return [f"Best:       {checkpoints.monitor.name} {best.score:.4f}, after epoch {best.epoch}"]


def _nonfinite_line(trainer: pl.Trainer) -> list[str]:
    loss = _callback(trainer, NonFiniteLoss)
    if loss is None or loss.first_step is None:
        return []
    end = "and still at the end" if loss.is_last else "but not at the end"
    return [f"Loss:       NaN or infinite at step {loss.first_step:,}, {end}"]


def _callback(trainer: pl.Trainer, kind: type[C]) -> C | None:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # a connector of the Trainer sets it
    return next((callback for callback in callbacks if isinstance(callback, kind)), None)
