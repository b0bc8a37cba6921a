"""Checkpoints: the last one, the best one where there is a validation set, and reading them."""

import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn

from lightning_app.errors import UsageError
from lightning_app.monitor import Best, Monitor
from lightning_app.readable_checkpoints import with_plain_hyperparameters
from lightning_app.run_folder import RunFolder
from lightning_app.run_trainer import StepHooks, has_all_batches


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

    def _new_best(self, trainer: pl.Trainer) -> Best | None:
        score = trainer.callback_metrics.get(self.monitor.name or "")
        if not trainer.is_global_zero or score is None:
            return None
        if not self._folder.best.exists():  # a run that continues that of another folder
            self.monitor.best = None
        is_better = self.monitor.is_better(float(score))
        return Best(float(score), trainer.current_epoch + 1, trainer.global_step) if is_better else None


def _reason(error: BaseException) -> str:
    while error.__cause__ or error.__context__:  # the file's own error is the cause of torch.save's
        error = error.__cause__ or error.__context__ or error
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; its tensors stay on disk until they are used.

    Raises:
        UsageError: The file can't be read as a checkpoint of Lightning.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # unpickling, zip and I/O errors of many kinds, which mean the same to the user
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"checkpoint {str(path)!r}: can't be read ({reason:.120})") from error
    if not isinstance(content, dict) or "state_dict" not in content or "pytorch-lightning_version" not in content:
        raise UsageError(f"checkpoint {str(path)!r}: not a checkpoint of Lightning")
    return content
