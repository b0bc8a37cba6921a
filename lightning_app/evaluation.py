"""The commands ``validate``, ``test`` and ``predict``: evaluate a trained network, or label images with it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_app.command_line.checkpoint_settings import require_data
from lightning_app.command_line.matching import require_image_size, require_same_classes
from lightning_app.console import format_count
from lightning_app.distributed.sync import gather, require_same_checkpoint
from lightning_app.errors import UsageError
from lightning_app.output.predictions import Predictions
from models import ImageClassifier

log = logging.getLogger(__name__)

_IMAGES = {"validate": "validation", "test": "test"}


def evaluate(trainer: pl.Trainer, command: str, model: pl.LightningModule, datamodule: Any, checkpoint: Path) -> None:
    """Runs ``validate`` or ``test`` and prints the metrics, one a line.

    Raises:
        UsageError: The data is unknown, has other classes or another image size than the network, or no images for
            the command; or a node has another checkpoint.
    """
    require_data(command, checkpoint, model, datamodule)
    require_image_size(model, datamodule)
    require_same_classes(datamodule, checkpoint)
    run = getattr(trainer, command)
    require_same_checkpoint(trainer, checkpoint)
    results = run(model, datamodule=datamodule, ckpt_path=str(checkpoint), verbose=False)
    metrics = all_metrics(trainer, results)
    if not metrics:
        raise UsageError(f"{command}: the data has no {_IMAGES[command]} images; give other data with --data_path")
    for name, value in metrics.items():
        log.info("%s %.4f", name, value)


def predict(
    trainer: pl.Trainer, model: pl.LightningModule, datamodule: Any, checkpoint: Path, target: Path, top_k: int = 1
) -> None:
    """Labels the images at the datamodule's path and writes the table ``target``.

    Each image gets its ``top_k`` most probable labels, or all where there are fewer. Files that can't be read are in
    the table as well, with the reason, if the datamodule leaves them out.

    Raises:
        UsageError: The model or the data isn't one of this project's, or they don't fit each other, or a node has
            another checkpoint.
    """
    require_data("predict", checkpoint, model, datamodule)
    if not isinstance(model, ImageClassifier) or not hasattr(type(datamodule), "predicted_paths"):
        raise UsageError("predict: works only with the models and the datamodules of this project")
    require_image_size(model, datamodule)
    require_same_checkpoint(trainer, checkpoint)
    model.predicted_labels = min(top_k, len(model.classes))
    batches: Any = trainer.predict(model, datamodule=datamodule, ckpt_path=str(checkpoint)) or []
    parts = gather(trainer, [torch.cat(column) for column in zip(*batches, strict=True)])
    if trainer.is_global_zero:
        unreadable = getattr(datamodule, "unreadable_paths", {})
        skips = getattr(datamodule, "skip_broken", False)
        table = Predictions(
            datamodule.data_path, datamodule.predicted_paths, model.classes, unreadable if skips else None
        )
        count = table.write(target, parts)
        left = f"; {format_count(len(unreadable), 'file')} can't be read" if unreadable else ""
        log.info("%s images labelled%s: %s", f"{count:,}", left, target)


def all_metrics(trainer: pl.Trainer, results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """All metrics of ``validate`` or ``test``: those that they return, and those that only callbacks can see."""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    for returned in results:
        metrics |= returned
    return metrics
