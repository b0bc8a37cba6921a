"""Averaged weights: they are what is saved as the run's result, and what is tested."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BatchSizeFinder, Checkpoint, StochasticWeightAveraging, WeightAveraging

from lightning_app.checkpointing.checkpoints import finish_writing
from lightning_app.checkpointing.sidecar import sidecar_path
from lightning_app.run_folder import RunFolder


class AveragedCheckpoint(Checkpoint):
    """Saves the result of ``StochasticWeightAveraging``, which Lightning computes after the last epoch's checkpoint.

    The average is in ``last.ckpt``; ``best.ckpt``, the weights of a single epoch, is called
    ``best-before-averaging.ckpt`` then.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not any(_is_applied(trainer, swa) for swa in _swa(trainer)):
            return
        trainer.save_checkpoint(self._folder.last)
        finish_writing(trainer)
        if trainer.is_global_zero and self._folder.best.exists():
            sidecar_path(self._folder.best).unlink(missing_ok=True)
            self._folder.best.replace(self._folder.best.with_name("best-before-averaging.ckpt"))


def _swa(trainer: pl.Trainer) -> list[StochasticWeightAveraging]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # a connector of the Trainer sets it
    return [callback for callback in callbacks if isinstance(callback, StochasticWeightAveraging)]


def _is_applied(trainer: pl.Trainer, swa: StochasticWeightAveraging) -> bool:
    """Whether the model has the averaged weights at the end of training, which has counted the last epoch."""
    return swa.n_averaged is not None and (swa._max_epochs == -1 or trainer.current_epoch > swa.swa_end)


@contextmanager
def tested_as_saved(trainer: pl.Trainer) -> Iterator[None]:
    """In this context a checkpoint is loaded as it would be by another program.

    A WeightAveraging callback that has just trained would load the current weights from it in place of the average,
    and a BatchSizeFinder would search once more, for the test.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    trainer.callbacks = [  # type: ignore[attr-defined]
        callback for callback in callbacks if not isinstance(callback, WeightAveraging | BatchSizeFinder)
    ]
    try:
        yield
    finally:
        trainer.callbacks = callbacks  # type: ignore[attr-defined]
