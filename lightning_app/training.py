"""The course of a run: train, measure once on the test images, say how it went."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_app.all_processes import checkpoint_everywhere
from lightning_app.evaluation import measured
from lightning_app.resume import Plan, agreed
from lightning_app.run_folder import RunFolder
from lightning_app.screen import counted
from lightning_app.throughput import Throughput

log = logging.getLogger(__name__)


def train(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule | None,
    folder: RunFolder,
    plan: Plan,
    throughput: Throughput,
) -> None:
    """Fits, tests the best checkpoint (or the last state, where no validation set chose one), and sums up."""
    plan = agreed(trainer, folder, plan)
    if plan.finished:
        log.info("%s", finished_message(folder, plan))
        if plan.tested:
            return
    with checkpoint_everywhere(trainer, plan.checkpoint) as checkpoint:
        trainer.fit(model, datamodule=datamodule, ckpt_path=_as_text(checkpoint))
    saved = [path for path in (folder.best, folder.last) if path.exists()] if trainer.checkpoint_callbacks else []
    with checkpoint_everywhere(trainer, saved[0] if saved else None) as checkpoint:
        metrics = _test(trainer, model, datamodule, _as_text(checkpoint))
    for line in summary(trainer, throughput, metrics, [str(path) for path in saved]):
        log.info("%s", line)


def finished_message(folder: RunFolder, plan: Plan) -> str:
    return (
        f"{folder.root}: training is finished ({counted(plan.epochs_done, 'epoch')}). Raise --num_epochs to go on, "
        "give --resume never for a fresh run, or another --output_dir."
    )


def summary(
    trainer: pl.Trainer, throughput: Throughput, metrics: Mapping[str, float], checkpoints: Sequence[str]
) -> list[str]:
    """What a person wants to know at the end, in a few lines."""
    lines = [f"Finished: {counted(trainer.current_epoch, 'epoch')}, {counted(trainer.global_step, 'step')}."]
    if throughput.seconds:
        lines[0] += f" Trained {throughput.images_per_second:,.0f} images a second."
    if metrics:
        lines.append("Test:       " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    return lines + [f"Checkpoint: {path}" for path in checkpoints]


def _as_text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _test(
    trainer: pl.Trainer, model: pl.LightningModule, datamodule: pl.LightningDataModule | None, checkpoint: str | None
) -> Mapping[str, float]:
    if not is_overridden("test_step", model) or not _has_test_images(model, datamodule):
        return {}
    results = trainer.test(model, datamodule=datamodule, ckpt_path=checkpoint, verbose=False)
    return measured(trainer, results)


def _has_test_images(model: pl.LightningModule, datamodule: pl.LightningDataModule | None) -> bool:
    if datamodule is None:
        return is_overridden("test_dataloader", model)
    return is_overridden("test_dataloader", datamodule) and datamodule.test_dataloader() not in ([], None)
