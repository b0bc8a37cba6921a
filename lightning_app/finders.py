"""Lightning's finders of a learning rate and a batch size: what they found is recorded, and kept by a resumed run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder
from pytorch_lightning.core.mixins.hparams_mixin import HyperparametersMixin

from lightning_app.checkpoints import read_checkpoint

_FINDERS = (BatchSizeFinder, LearningRateFinder)


class RecordFound(pl.Callback):
    """Logs the hyperparameters that a finder has changed, after Lightning has logged those that were given."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        datamodule = trainer.datamodule  # type: ignore[attr-defined]  # a connector of the Trainer sets it
        found = _changed(pl_module) | (_changed(datamodule) if datamodule is not None else {})
        if found:
            for logger in trainer.loggers:
                logger.log_hyperparams(found)


def keep_found_values(
    trainer: pl.Trainer, model: pl.LightningModule, datamodule: pl.LightningDataModule | None, checkpoint: Path | None
) -> None:
    """A resumed run has the values that its checkpoint was trained with, and doesn't search again.

    A search would start Lightning's loops anew, in place of those of the checkpoint.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # a connector of the Trainer sets it
    finders = [callback for callback in callbacks if isinstance(callback, _FINDERS)]
    if checkpoint is None or not finders:
        return
    trainer.callbacks = [callback for callback in callbacks if callback not in finders]  # type: ignore[attr-defined]
    content, names = read_checkpoint(checkpoint), [name for finder in finders for name in _found_by(finder)]
    _restore(model, content.get("hyper_parameters", {}), names)
    if datamodule is not None:
        _restore(datamodule, content.get("datamodule_hyper_parameters", {}), names)


def _found_by(finder: pl.Callback) -> Sequence[str]:
    """The names of the hyperparameters of which the finder sets one."""
    if isinstance(finder, BatchSizeFinder):
        return [finder._batch_arg_name]
    assert isinstance(finder, LearningRateFinder)
    return [finder._attr_name] if finder._attr_name else ["lr", "learning_rate"]


def _changed(holder: HyperparametersMixin) -> dict[str, Any]:
    given = holder.hparams_initial
    return {name: value for name, value in holder.hparams.items() if name in given and value != given[name]}


def _restore(holder: HyperparametersMixin, saved: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if name in saved and name in holder.hparams and hasattr(holder, name):
            holder.hparams[name] = saved[name]
            setattr(holder, name, saved[name])
