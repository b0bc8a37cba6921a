"""Where a run is between two steps, in a Trainer and in a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl

from lightning_app.trainer.run_trainer import complete_epochs, is_within_epoch

KEY = "exact_resume"  # in a checkpoint


@dataclass(frozen=True)
class Position:
    """Where a run is, between two steps.

    Args:
        epoch: Complete epochs.
        batches: Of the epoch that has begun, those of this process that are done.
        images: The same in images of all processes, where the loader is one of this project's.
        is_last: Whether these are all batches of the epoch, whose end is still to come.
        ends_batch: Whether the end of the last batch is still to come: its validation, if one is due.
    """

    epoch: int
    batches: int = 0
    images: int | None = None
    is_last: bool = False
    ends_batch: bool = False

    @classmethod
    def of(cls, trainer: pl.Trainer) -> "Position":
        if not is_within_epoch(trainer):
            return cls(complete_epochs(trainer))
        loop = trainer.fit_loop.epoch_loop
        progress, ends_batch = loop.batch_progress, getattr(loop, "is_batch_complete", False)
        batches = progress.current.processed  # type: ignore[attr-defined]  # a tracker of batches has it
        images = [batches * size for loader in loaders(trainer) if (size := images_per_step(loader))]
        return cls(complete_epochs(trainer), batches, min(images, default=None), progress.is_last_batch, ends_batch)

    @classmethod
    def read(cls, checkpoint: Mapping[str, Any]) -> "Position":
        """From a checkpoint; one that isn't of this program has counters only."""
        if KEY in checkpoint:
            return cls(**checkpoint[KEY]["position"])
        loops = checkpoint["loops"]["fit_loop"]
        epochs, progress = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]
        batches = progress["current"]["processed"]
        if progress["is_last_batch"] or not batches:
            return cls(epochs["processed"] if not batches else epochs["started"])
        return cls(epochs["started"] - 1, batches)


def epochs_in(checkpoint: Mapping[str, Any]) -> int:
    """Complete epochs of a checkpoint, also of one without the state of its loops."""
    try:
        return Position.read(checkpoint).epoch
    except (LookupError, TypeError):
        return int(checkpoint.get("epoch", 0))


def images_per_step(loader: Any) -> int:
    """Of all processes, for a loader of this project; 0 for any other."""
    sampler = getattr(loader, "sampler", None)
    return loader.batch_size * sampler.num_replicas if hasattr(sampler, "seek") else 0  # type: ignore[union-attr]


def loaders(trainer: pl.Trainer) -> list[Any]:
    """Those of the training images; empty before Lightning has made them."""
    combined = trainer.fit_loop._combined_loader
    return [] if combined is None else combined.flattened


def set_counters(loops: dict[str, Any], position: Position) -> None:
    """Sets the counters of a checkpoint to those of a run between two epochs."""
    for counter in loops["epoch_progress"].values():
        counter.update(dict.fromkeys(counter, position.epoch))
    progress = loops["epoch_loop.batch_progress"]
    for counter in (progress["total"], progress["current"]):
        counter.update(dict.fromkeys(counter, counter["processed"]))
    progress["is_last_batch"] = True
