"""Writing checkpoints: the last one, and the best one where there is a validation set."""

import json
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.trainer.states import TrainerFn

from lightning_app.checkpointing.monitor import Best, Monitor
from lightning_app.checkpointing.readable_checkpoints import with_plain_hyperparameters
from lightning_app.errors import UsageError, one_line
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.run_trainer import RunTrainer, has_all_batches
from lightning_app.trainer.step_hooks import StepHooks

log = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a file beside the target and renames it, so that an earlier checkpoint survives a full disk.

    Lightning's own class writes to the temporary folder first. That is often another file system, where a rename is a
    copy, which can be interrupted.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with unfinished.open("wb") as file:
                torch.save(with_plain_hyperparameters(checkpoint), file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
        except (OSError, RuntimeError) as error:  # torch.save raises a RuntimeError on a full disk
            unfinished.unlink(missing_ok=True)
            kept = f"the earlier checkpoint is kept in {str(target)!r}; " if target.exists() else ""
            raise UsageError(
                f"--output_dir: could not save {str(target)!r} ({_reason(error)}); {kept}"
                "free some space, or give another folder"
            ) from error


class RunCheckpoints(StepHooks, Checkpoint):
    """Saves ``last.ckpt`` after each epoch, and ``best.ckpt`` when the monitored metric is the best so far.

    Where training stops within an epoch, ``last.ckpt`` holds the state before Lightning ends that epoch.
    """

    def __init__(self, folder: RunFolder, monitor: Monitor) -> None:
        self._folder = folder
        self.monitor = monitor
        self._has_validated = self._is_checked = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        self._has_validated = True
        self.monitor.choose_default([*trainer.callback_metrics])
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:  # otherwise the end of the epoch judges
            self._save_if_best(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save_if_best(trainer)
        if has_all_batches(trainer):
            trainer.save_checkpoint(self._folder.last)
        if not self._is_checked and (self._has_validated or not sum(trainer.num_val_batches)):
            self._is_checked = True
            self.monitor.check_logged([*trainer.callback_metrics], validated=self._has_validated)

    def on_stop_within_epoch(self, trainer: pl.Trainer) -> None:
        trainer.save_checkpoint(self._folder.last)

    def state_dict(self) -> dict[str, Any]:
        # the seed chose the validation images, and the command validate must choose the same ones
        return self.monitor.state_dict() | {"seed": int(os.environ.get("PL_GLOBAL_SEED", 0))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.monitor.load_state_dict(state_dict)

    def _save_if_best(self, trainer: pl.Trainer) -> None:
        # rank 0 decides: a metric that isn't reduced differs between processes, and all of them must save together
        best: Best | None = trainer.strategy.broadcast(self._new_best(trainer))
        if best is not None:
            self.monitor.best = best
            trainer.save_checkpoint(self._folder.best)
            if trainer.is_global_zero:
                write = partial(self._write_best_metrics, self._described(trainer, best))
                # after the checkpoint, which is written when the step is complete
                if isinstance(trainer, RunTrainer):
                    trainer.when_complete(write)
                else:
                    write()

    def _described(self, trainer: pl.Trainer, best: Best) -> dict[str, Any]:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if value.numel() == 1}
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        return {"monitor": self.monitor.name, "mode": self.monitor.mode, **asdict(best), "metrics": finite}

    def _write_best_metrics(self, content: dict[str, Any]) -> None:
        """Writes the metrics of the best epoch beside its checkpoint, for a model that is registered from it."""
        unfinished = self._folder.best_metrics.with_suffix(".json.tmp")
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
        unfinished.replace(self._folder.best_metrics)

    def _new_best(self, trainer: pl.Trainer) -> Best | None:
        score = trainer.callback_metrics.get(self.monitor.name or "")
        if not trainer.is_global_zero or score is None:
            return None
        if not self._folder.best.exists():  # a run that continues that of another folder
            self.monitor.best = None
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


def _reason(error: BaseException) -> str:
    while error.__cause__ or error.__context__:  # the file's own error is the cause of torch.save's
        error = error.__cause__ or error.__context__ or error
    return getattr(error, "strerror", None) or one_line(error)
