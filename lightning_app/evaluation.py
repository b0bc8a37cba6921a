"""A trained network is evaluated, or predicts labels."""

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_app.checkpoints import read_checkpoint
from lightning_app.distributed.sync import gather, require_same_checkpoint
from lightning_app.errors import UsageError
from models import ImageClassifier

log = logging.getLogger(__name__)


def evaluate(trainer: pl.Trainer, command: str, model: pl.LightningModule, datamodule: Any, checkpoint: Path) -> None:
    """Runs ``validate`` or ``test`` and prints the metrics, one a line.

    Raises:
        UsageError: The data has other classes than the network, or no images for this, or a node has another
            checkpoint.
    """
    require_same_classes(datamodule, checkpoint)
    run = getattr(trainer, command)
    require_same_checkpoint(trainer, checkpoint)
    results = run(model, datamodule=datamodule, ckpt_path=str(checkpoint), verbose=False)
    metrics = all_metrics(trainer, results)
    if not metrics:
        raise UsageError(f"{command}: the data holds no images for it")
    for name, value in metrics.items():
        log.info("%s %.4f", name, value)


def predict(trainer: pl.Trainer, model: pl.LightningModule, datamodule: Any, checkpoint: Path, target: Path) -> None:
    """Labels the images at the datamodule's path and writes the table ``target``.

    Raises:
        UsageError: The model or the data isn't one of this project's, or a node has another checkpoint.
    """
    if not isinstance(model, ImageClassifier) or not hasattr(type(datamodule), "predicted_paths"):
        raise UsageError("predict: works with the models and the data of this project alone")
    require_same_checkpoint(trainer, checkpoint)
    batches: Any = trainer.predict(model, datamodule=datamodule, ckpt_path=str(checkpoint)) or []
    shares = gather(trainer, [torch.cat(column) for column in zip(*batches, strict=True)])
    if trainer.is_global_zero:
        count = write_predictions(target, datamodule.data_path, datamodule.predicted_paths, model.classes, shares)
        log.info("%s images labelled: %s", f"{count:,}", target)


def all_metrics(trainer: pl.Trainer, results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """All metrics of validate or test: what they return, and what was logged for callbacks alone."""
    found = {name: float(value) for name, value in trainer.callback_metrics.items()}
    for metrics in results:
        found |= metrics
    return found


def require_same_classes(datamodule: Any, checkpoint: Path) -> None:
    """The outputs of a trained network mean the classes that it was trained on, in their order.

    Raises:
        UsageError: The data has others.
    """
    there = read_checkpoint(checkpoint).get("hyper_parameters", {}).get("classes")
    here = getattr(datamodule, "classes", None)
    if there and here and list(there) != list(here):
        raise UsageError(f"--data_path: holds the classes {_few(here)}; {str(checkpoint)!r} knows {_few(there)}")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def write_predictions(
    target: Path, folder: Path, paths: Sequence[Path], classes: Sequence[str], parts: Iterable[Sequence[Tensor]]
) -> int:
    """Writes ``file,label,probability``, a row an image in the order of ``paths``, and returns the number of rows.

    ``parts``, in any order, are of what ``predict_step`` returns: numbers of images, labels, probabilities, each (N,).
    """
    rows = sorted(row for part in parts for row in zip(*(column.tolist() for column in part), strict=True))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.tmp")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "probability"])
        for number, label, probability in rows:
            table.writerow([paths[number].relative_to(folder), classes[label], f"{probability:.4f}"])
    unfinished.replace(target)
    return len(rows)
