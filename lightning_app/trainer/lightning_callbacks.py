"""What Lightning's own callbacks need of a model, checked before training starts."""

from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    BackboneFinetuning,
    BaseFinetuning,
    BasePredictionWriter,
    ModelPruning,
    SpikeDetection,
    StochasticWeightAveraging,
)
from torch import nn

from lightning_app.errors import UsageError

_BASE_CLASSES = (BaseFinetuning, BasePredictionWriter)  # each calls a method that only a subclass has


def prepare(callbacks: Iterable[pl.Callback], model: pl.LightningModule) -> None:
    """Makes the model and the callbacks fit each other.

    Raises:
        UsageError: A callback can't work with the model.
    """
    for callback in callbacks:
        _require_usable(callback, model)
        if isinstance(callback, ModelPruning):
            model.to(memory_format=torch.contiguous_format)  # torch prunes views of the weights as one vector
        if isinstance(callback, SpikeDetection):
            # loading a checkpoint uses this name for what the constructor calls running_mean
            loaded: Any = callback
            loaded.running = callback.running_mean


def _require_usable(callback: pl.Callback, model: pl.LightningModule) -> None:
    name = type(callback).__name__
    if type(callback) in _BASE_CLASSES:
        raise UsageError(f"--trainer.callbacks {name}: a base class; give the import path of a class that extends it")
    if isinstance(callback, BackboneFinetuning) and not isinstance(getattr(model, "backbone", None), nn.Module):
        raise UsageError(
            f"--trainer.callbacks {name}: {type(model).__name__} has no module 'backbone'; ResNetTransfer has one, "
            "with --model.freeze_backbone false"
        )
    if isinstance(callback, BackboneFinetuning | StochasticWeightAveraging) and not _trains_buffers(model):
        raise UsageError(
            f"--trainer.callbacks {name}: trains the whole network, and the backbone is frozen; give "
            "--model.freeze_backbone false"
        )


def _trains_buffers(model: pl.LightningModule) -> bool:
    return bool(getattr(model, "trains_buffers", True))
