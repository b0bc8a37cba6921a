"""The course of a run: train, measure once on the test images, say how it went."""

import logging
from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_app.resume import Plan
from lightning_app.run_folder import RunFolder
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
    if plan.finished:
        log.info("%s", finished_message(folder, plan))
    trainer.fit(model, datamodule=datamodule, ckpt_path=str(plan.checkpoint) if plan.checkpoint else None)
    saved = [path for path in (folder.best, folder.last) if path.exists()] if trainer.checkpoint_callbacks else []
    measured = _test(trainer, model, datamodule, str(saved[0]) if saved else None)
    for line in summary(trainer, throughput, measured, [str(path) for path in saved]):
        log.info("%s", line)


def finished_message(folder: RunFolder, plan: Plan) -> str:
    return (
        f"{folder.root}: training is finished ({plan.epochs_done} epochs). Raise --num_epochs to go on, give "
        "--resume never for a fresh run, or another --output_dir."
    )


def summary(
    trainer: pl.Trainer, throughput: Throughput, measured: Mapping[str, float], checkpoints: Sequence[str]
) -> list[str]:
    """What a person wants to know at the end, in a few lines."""
    epochs = trainer.current_epoch
    lines = [f"Finished: {epochs} epoch{'s' * (epochs != 1)}, {trainer.global_step:,} steps."]
    if throughput.seconds:
        lines[0] += f" Trained {throughput.images_per_second:,.0f} images a second."
    if measured:
        lines.append("Test:       " + ", ".join(f"{name} {value:.4f}" for name, value in measured.items()))
    return lines + [f"Checkpoint: {path}" for path in checkpoints]


def show(results: Sequence[Mapping[str, float]]) -> None:
    """Prints the metrics of validate or test, one a line."""
    for metrics in results:
        for name, value in metrics.items():
            log.info("%s %.4f", name, value)


def _test(
    trainer: pl.Trainer, model: pl.LightningModule, datamodule: pl.LightningDataModule | None, checkpoint: str | None
) -> Mapping[str, float]:
    if trainer.fast_dev_run or not is_overridden("test_step", model) or not _has_test_images(model, datamodule):
        return {}
    results = trainer.test(model, datamodule=datamodule, ckpt_path=checkpoint, verbose=False)
    return results[0] if results else {}


def _has_test_images(model: pl.LightningModule, datamodule: pl.LightningDataModule | None) -> bool:
    if datamodule is None:
        return is_overridden("test_dataloader", model)
    return is_overridden("test_dataloader", datamodule) and datamodule.test_dataloader() not in ([], None)
