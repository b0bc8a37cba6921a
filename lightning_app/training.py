"""A training run: prepare the run folder, fit, test once, summarise."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_app.callbacks import Throughput
from lightning_app.console import format_count
from lightning_app.distributed.sync import checkpoint_everywhere
from lightning_app.evaluation import all_metrics
from lightning_app.resume import ResumePlan, agreed
from lightning_app.run_folder import RunFolder

log = logging.getLogger(__name__)


def train(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule | None,
    folder: RunFolder,
    plan: ResumePlan,
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


def finished_message(folder: RunFolder, plan: ResumePlan) -> str:
    return (
        f"{folder.root}: training is finished ({format_count(plan.epochs_done, 'epoch')}). Raise --num_epochs to go "
        "on, give --resume never for a fresh run, or another --output_dir."
    )


def summary(
    trainer: pl.Trainer, throughput: Throughput, metrics: Mapping[str, float], checkpoints: Sequence[str]
) -> list[str]:
    """What a person wants to know at the end, in a few lines."""
    lines = [f"Finished: {format_count(trainer.current_epoch, 'epoch')}, {format_count(trainer.global_step, 'step')}."]
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
    return all_metrics(trainer, results)


def _has_test_images(model: pl.LightningModule, datamodule: pl.LightningDataModule | None) -> bool:
    if datamodule is None:
        return is_overridden("test_dataloader", model)
    return is_overridden("test_dataloader", datamodule) and datamodule.test_dataloader() not in ([], None)


class RunFolderSetup(pl.Callback):
    """Makes room for the run, writes ``config.yaml`` and opens the loggers.

    Lightning opens the loggers it was given before the data has been looked at, so that a typo in a path would leave
    files behind. This callback gives them to the Trainer later.
    """

    def __init__(
        self,
        folder: RunFolder,
        plan: ResumePlan,
        write_config: Callable[[], None],
        make_loggers: Callable[[pl.Trainer], Sequence[Logger]],
    ) -> None:
        self._folder, self._plan = folder, plan
        self._write_config, self._make_loggers = write_config, make_loggers

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self._prepare_folder()
        trainer.strategy.barrier("run folder")
        trainer.loggers = [*trainer.loggers, *self._make_loggers(trainer)]

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            done = format_count(trainer.current_epoch, "epoch")
            log.info("Interrupted after %s; the same command goes on from there.", done)

    def _prepare_folder(self) -> None:
        if self._plan.set_aside:
            log.info("%s: the run that was here is set aside in %s", self._folder.root, self._folder.set_aside())
        self._folder.root.mkdir(parents=True, exist_ok=True)
        self._write_config()
        if self._plan.checkpoint is not None:
            done = f"{format_count(self._plan.epochs_done, 'epoch')} and {format_count(self._plan.steps_done, 'step')}"
            log.info("Going on from %s, after %s.", self._plan.checkpoint, done)
