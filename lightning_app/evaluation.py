"""The commands ``validate``, ``test`` and ``predict``: evaluate a trained network, or label images with it."""

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_app.command_line.checkpoint_settings import require_data
from lightning_app.command_line.matching import require_image_size, require_same_classes
from lightning_app.distributed.sync import gather, require_same_checkpoint
from lightning_app.errors import UsageError
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


def predict(trainer: pl.Trainer, model: pl.LightningModule, datamodule: Any, checkpoint: Path, target: Path) -> None:
    """Labels the images at the datamodule's path and writes the table ``target``.

    Raises:
        UsageError: The model or the data isn't one of this project's, or they don't fit each other, or a node has
            another checkpoint.
    """
    require_data("predict", checkpoint, model, datamodule)
    if not isinstance(model, ImageClassifier) or not hasattr(type(datamodule), "predicted_paths"):
        raise UsageError("predict: works only with the models and the datamodules of this project")
    require_image_size(model, datamodule)
    require_same_checkpoint(trainer, checkpoint)
    batches: Any = trainer.predict(model, datamodule=datamodule, ckpt_path=str(checkpoint)) or []
    parts = gather(trainer, [torch.cat(column) for column in zip(*batches, strict=True)])
    if trainer.is_global_zero:
        count = write_predictions(target, datamodule.data_path, datamodule.predicted_paths, model.classes, parts)
        log.info("%s images labelled: %s", f"{count:,}", target)


def all_metrics(trainer: pl.Trainer, results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """All metrics of ``validate`` or ``test``: those that they return, and those that only callbacks can see."""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    for returned in results:
        metrics |= returned
    return metrics


def write_predictions(
    target: Path, folder: Path, paths: Sequence[Path], classes: Sequence[str], parts: Iterable[Sequence[Tensor]]
) -> int:
    """Writes the table ``file,label,probability`` and returns its number of rows, one for each image.

    Args:
        target: The file; it is written under another name and renamed when it is complete.
        folder: The paths in the table are relative to it.
        paths: The images, in the order of the rows.
        classes: The names of the labels.
        parts: Results of ``predict_step`` in any order: indices into ``paths``, labels, probabilities, each (N,).
    """
    rows = sorted(row for part in parts for row in zip(*(column.tolist() for column in part), strict=True))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.tmp")
    # a file's name may be any bytes; they are written as they are
    with unfinished.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "probability"])
        for index, label, probability in rows:
            table.writerow([paths[index].relative_to(folder), classes[label], f"{probability:.4f}"])
    unfinished.replace(target)
    return len(rows)
