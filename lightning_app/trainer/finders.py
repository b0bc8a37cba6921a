"""Lightning's finders of a learning rate and a batch size: what they found is recorded, and kept by a resumed run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from jsonargparse import Namespace
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder
from pytorch_lightning.core.mixins.hparams_mixin import HyperparametersMixin

from lightning_app.checkpointing.checkpoint_files import read_checkpoint

_FINDERS = (BatchSizeFinder, LearningRateFinder)


def found_settings(callbacks: Iterable[Any]) -> set[str]:
    """The names of the parameters that finders among these callbacks choose; each is a class path and its settings."""
    names: set[str] = set()
    for callback in callbacks:
        class_path, arguments = (callback or {}).get("class_path", ""), (callback or {}).get("init_args") or {}
        if class_path.endswith(LearningRateFinder.__name__):
            names |= {"lr", arguments.get("attr_name") or "learning_rate"}  # lr: of the optimizer, too
        if class_path.endswith(BatchSizeFinder.__name__):
            names.add(arguments.get("batch_arg_name") or "batch_size")
    return names


class RecordFound(pl.Callback):
    """Writes the values that finders have found to ``config.yaml``, and has Lightning log them as hyperparameters.

    Lightning's finders are the first callbacks, and it logs the hyperparameters after ``on_fit_start``.

    Args:
        settings: The settings of the command; what is found takes the place of what was given.
        write_config: Writes the settings to ``config.yaml``.
    """

    def __init__(self, settings: Namespace, write_config: Callable[[], None]) -> None:
        self._settings, self._write_config = settings, write_config

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        callbacks = self._settings.trainer.callbacks or []
        names = found_settings(callbacks if isinstance(callbacks, list) else [callbacks])
        datamodule = trainer.datamodule  # type: ignore[attr-defined]  # a connector of the Trainer sets it
        for holder, part in ((pl_module, self._settings.model), (datamodule, self._settings.data)):
            if holder is not None:
                self._record(holder, part, names)
        optimizer = self._settings.get("optimizer")
        if optimizer and "learning_rate" in names and "lr" in (optimizer.get("init_args") or {}):
            optimizer.init_args.lr = getattr(pl_module, "learning_rate", optimizer.init_args.lr)
        if names and trainer.is_global_zero:
            self._write_config()

    def _record(self, holder: HyperparametersMixin, part: Namespace | None, names: Iterable[str]) -> None:
        arguments: Any = (part.get("init_args") if part else None) or {}
        for name in names:
            if hasattr(holder, name) and name in arguments:
                arguments[name] = getattr(holder, name)
            if name in holder.hparams_initial and name in holder.hparams:
                logged: dict[str, Any] = vars(holder)["_hparams_initial"]  # a copy from the constructor
                logged[name] = holder.hparams[name]


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


def _restore(holder: HyperparametersMixin, saved: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if name in saved and name in holder.hparams and hasattr(holder, name):
            holder.hparams[name] = saved[name]
            setattr(holder, name, saved[name])
