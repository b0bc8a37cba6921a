"""When checkpoints are saved: the last one, and the best one where there is a validation set."""

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn

from lightning_app.checkpointing.checkpoint_io import RunCheckpointIO, Saving
from lightning_app.checkpointing.monitor import Best, Monitor
from lightning_app.checkpointing.save_interval import SaveInterval, SaveSchedule
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.run_trainer import RunTrainer, has_all_batches
from lightning_app.trainer.step_hooks import StepHooks

log = logging.getLogger(__name__)


class RunCheckpoints(StepHooks, Checkpoint):
    """Saves ``last.ckpt`` often, and ``best.ckpt`` when the monitored metric is the best so far.

    ``last.ckpt`` is saved at an interval, at the end of each epoch and of training. Where training stops within an
    epoch, it holds the state before Lightning ends that epoch.
    """

    def __init__(self, folder: RunFolder, monitor: Monitor, interval: SaveInterval | None = None) -> None:
        self._folder = folder
        self.monitor = monitor
        self._schedule = SaveSchedule(interval) if interval else None
        self._has_validated = self._is_checked = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # here and not where a score is judged: by then the best one so far may still wait to be written
        if not self._folder.best.exists():  # a run that continues that of another folder
            self.monitor.best = None
        if not isinstance(trainer, RunTrainer):
            return
        if (writing := _checkpoint_io(trainer)) is not None:
            writing.when_failed = partial(_check_soon, trainer)
        if self._schedule is not None:
            trainer.next_save_check = self._schedule.begin(trainer.global_step)

    def on_save_check(self, trainer: pl.Trainer) -> None:
        assert isinstance(trainer, RunTrainer)
        saves, trainer.next_save_check = trainer.strategy.broadcast(self._decide(trainer))
        if (writing := _checkpoint_io(trainer)) is not None:
            writing.raise_failure()
        if saves:
            self._save(trainer, self._folder.last, is_interval=True)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        self._has_validated = True
        self.monitor.choose_default([*trainer.callback_metrics])
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:  # otherwise the end of the epoch judges
            self._save_if_best(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # at the end of an epoch both have the same state
        also = [self._folder.last] if has_all_batches(trainer) else []
        if not self._save_if_best(trainer, *also) and also:
            self._save(trainer, *also)
        if not self._is_checked and (self._has_validated or not sum(trainer.num_val_batches)):
            self._is_checked = True
            self.monitor.check_logged([*trainer.callback_metrics], validated=self._has_validated)

    def on_stop_within_epoch(self, trainer: pl.Trainer) -> None:
        self._save(trainer, self._folder.last)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        finish_writing(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        finish_writing(trainer)  # of those that other callbacks have saved at the end of training

    def state_dict(self) -> dict[str, Any]:
        # the seed chose the validation images, and the command validate must choose the same ones
        return self.monitor.state_dict() | {"seed": int(os.environ.get("PL_GLOBAL_SEED", 0))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.monitor.load_state_dict(state_dict)

    def _decide(self, trainer: pl.Trainer) -> tuple[bool, int]:
        """Whether to save now, and the next step at which to ask; what rank 0 decides counts for all."""
        writing = _checkpoint_io(trainer)
        if self._schedule is None or not trainer.is_global_zero:
            return False, sys.maxsize
        return self._schedule.check(trainer.global_step, is_writing=writing is not None and writing.is_writing)

    def _save_if_best(self, trainer: pl.Trainer, *also: Path) -> bool:
        # rank 0 decides: a metric that isn't reduced differs between processes, and all of them must save together
        best: Best | None = trainer.strategy.broadcast(self._new_best(trainer))
        if best is None:
            return False
        self.monitor.best = best
        metrics = partial(self._write_best_metrics, self._described(trainer, best)) if trainer.is_global_zero else None
        self._save(trainer, self._folder.best, *also, before=metrics)
        return True

    def _save(
        self, trainer: pl.Trainer, *paths: Path, is_interval: bool = False, before: Callable[[], None] | None = None
    ) -> None:
        """Saves one state in each of the paths, when the step is complete; see ``Saving.before``."""
        if self._folder.last in paths and self._schedule is not None:
            self._schedule.saved(trainer.global_step)

        def save() -> None:
            writing = _checkpoint_io(trainer)
            if writing is not None:
                with writing.saving(Saving(paths[1:], is_interval, before)):
                    trainer.save_checkpoint(paths[0])
                return
            if before is not None:
                before()
            for path in paths:
                trainer.save_checkpoint(path)

        if isinstance(trainer, RunTrainer):
            trainer.when_complete(save)
        else:
            save()

    def _described(self, trainer: pl.Trainer, best: Best) -> dict[str, Any]:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if value.numel() == 1}
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return {"monitor": self.monitor.name, "mode": self.monitor.mode, **asdict(best), "metrics": finite}

    def _write_best_metrics(self, content: dict[str, Any]) -> None:
        """Writes the metrics of the best epoch beside its checkpoint, for a model that is registered from it."""
        unfinished = self._folder.best_metrics.with_suffix(".json.tmp")
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
        unfinished.replace(self._folder.best_metrics)

    def _new_best(self, trainer: pl.Trainer) -> Best | None:
        score = trainer.callback_metrics.get(self.monitor.name or "")
        if not trainer.is_global_zero or score is None:
            return None
        is_better = self.monitor.is_better(float(score))
        return Best(float(score), trainer.current_epoch + 1, trainer.global_step) if is_better else None


def keep_apart(callbacks: Sequence[pl.Callback], folder: RunFolder) -> None:
    """Keeps the files of the user's checkpoint callbacks apart from ``last.ckpt`` and ``best.ckpt``.

    The last checkpoint of a ``ModelCheckpoint`` in the same folder gets a name of its own.

    Raises:
        UsageError: Its other files would have the name of one of these.
    """
    for callback in callbacks:
        given = getattr(callback, "dirpath", None)
        if not isinstance(callback, Checkpoint) or (given and Path(given).resolve() != folder.last.parent.resolve()):
            continue
        filename = getattr(callback, "filename", None)
        if filename in (folder.last.stem, folder.best.stem):
            raise UsageError(
                f"{type(callback).__name__}: filename {filename!r} is that of this program's own checkpoint in "
                f"{str(folder.last.parent)!r}; give another filename or dirpath"
            )
        if isinstance(callback, ModelCheckpoint) and callback.save_last:
            callback.CHECKPOINT_NAME_LAST = "model-checkpoint-last"
            log.info(
                "ModelCheckpoint: its last checkpoint is model-checkpoint-last.ckpt; last.ckpt is this program's own."
            )


def finish_writing(trainer: pl.Trainer) -> None:
    """Waits until the run's checkpoints are written.

    Raises:
        UsageError: One of them can't be.
    """
    if (writing := _checkpoint_io(trainer)) is not None:
        writing.finish_writing()


def _checkpoint_io(trainer: pl.Trainer) -> RunCheckpointIO | None:
    """None if the user's own plugin writes the checkpoints, before ``save_checkpoint`` returns."""
    plugin = trainer.strategy.checkpoint_io
    return plugin if isinstance(plugin, RunCheckpointIO) else None


def _check_soon(trainer: RunTrainer) -> None:
    trainer.next_save_check = 0
