"""A training run: prepare the run folder, fit, test once, print a summary."""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_app.checkpointing.checkpoints import RunCheckpoints
from lightning_app.checkpointing.resume_plan import ResumePlan
from lightning_app.checkpointing.run_lock import RunLock, remove_leftovers
from lightning_app.console import format_count
from lightning_app.distributed.sync import broadcast, checkpoint_everywhere, run_connected
from lightning_app.evaluation import all_metrics
from lightning_app.output.summary import left_nothing_usable, summary
from lightning_app.output.tensorboard import RunTensorBoard
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.averaging import tested_as_saved
from lightning_app.trainer.finders import keep_found_values

log = logging.getLogger(__name__)


def train(
    trainer: pl.Trainer,
    model: pl.LightningModule,
    datamodule: pl.LightningDataModule | None,
    folder: RunFolder,
    plan: ResumePlan,
) -> None:
    """Fits, tests the best checkpoint (the last one where there is no validation set) and prints a summary.

    Every process calls this. Rank 0's plan counts for all of them.
    """
    agreed_plan = run_connected(trainer, lambda: broadcast(trainer, plan))
    if agreed_plan.finished:
        log.info("%s", finished_message(folder, agreed_plan))
        if agreed_plan.tested:
            return
    with checkpoint_everywhere(trainer, agreed_plan.checkpoint) as checkpoint:
        keep_found_values(trainer, model, datamodule, checkpoint)
        trainer.fit(model, datamodule=datamodule, ckpt_path=_as_text(checkpoint))
    saves = any(isinstance(callback, RunCheckpoints) for callback in trainer.checkpoint_callbacks)
    saved = [path for path in (folder.best, folder.last) if saves and path.exists()]
    with checkpoint_everywhere(trainer, saved[0] if saved else None) as checkpoint, tested_as_saved(trainer):
        metrics = _test(trainer, model, datamodule, _as_text(checkpoint))
    for logger in trainer.loggers:
        if isinstance(logger, RunTensorBoard):
            logger.log_outcome()
    for line in summary(trainer, metrics, saved):
        log.info("%s", line)
    if trainer.is_global_zero and folder.history.exists():
        _write_report(folder)
    if left_nothing_usable(trainer):
        if trainer.is_global_zero:
            print("error: the loss was NaN or infinite to the end; no usable checkpoint is left", file=sys.stderr)
        raise SystemExit(1)


def _write_report(folder: RunFolder) -> None:
    """The report of the run; if it can't be made, a line says so, and the run is as good as with it."""
    try:
        from lightning_app.report.command import write_report  # it loads Jinja, which no start of a training needs

        write_report([folder.root], folder.report)
    except Exception as error:
        log.warning("No report of the run: %s: %s", type(error).__name__, " ".join(str(error).split()))
        return
    log.info("Report:     %s", folder.report)


def finished_message(folder: RunFolder, plan: ResumePlan) -> str:
    return f"{folder.root}: {plan.message}; to start a new run, give --resume never or another --output_dir."


def _as_text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _test(
    trainer: pl.Trainer, model: pl.LightningModule, datamodule: pl.LightningDataModule | None, checkpoint: str | None
) -> Mapping[str, float]:
    source = model if datamodule is None else datamodule
    if not is_overridden("test_step", model) or not is_overridden("test_dataloader", source):
        return {}
    with _none_as_no_images(source):
        results = trainer.test(model, datamodule=datamodule, ckpt_path=checkpoint, verbose=False)
    return all_metrics(trainer, results)


@contextmanager
def _none_as_no_images(source: pl.LightningModule | pl.LightningDataModule) -> Iterator[None]:
    """Lightning tests nothing where there is an empty list of loaders, and refuses None.

    The loader can't be asked for before: a datamodule may make its test set in ``setup("test")``.
    """
    make_loader = source.test_dataloader

    def test_dataloader() -> Any:
        loader = make_loader()
        return [] if loader is None else loader

    source.test_dataloader = test_dataloader  # type: ignore[method-assign]  # on the instance
    try:
        yield
    finally:
        del source.test_dataloader


class RunFolderSetup(pl.Callback):
    """Prepares the run folder when fitting starts: archives an earlier run, writes ``config.yaml``, adds the loggers.

    Lightning opens a Trainer's loggers before it reads the data, so that a typo in a path would leave files behind.
    This callback is the first one, and callbacks are set up after the data: the data has been checked, and the other
    callbacks and the model have the loggers in their own ``setup``.
    """

    def __init__(
        self,
        folder: RunFolder,
        checkpoint_dir: RunFolder | None,
        lock: RunLock,
        plan: ResumePlan,
        write_config: Callable[[], None],
        create_loggers: Callable[[pl.Trainer], Sequence[Logger]],
    ) -> None:
        self._folder, self._checkpoint_dir, self._lock, self._plan = folder, checkpoint_dir, lock, plan
        self._write_config, self._create_loggers = write_config, create_loggers

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        if trainer.is_global_zero:
            self._prepare_folder()
        trainer.strategy.barrier("run folder")
        trainer.loggers = [*trainer.loggers, *self._create_loggers(trainer)]

    def _prepare_folder(self) -> None:
        self._folder.root.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        if self._plan.archive_previous:
            which = f" ({self._plan.archived})" if self._plan.archived else ""
            log.info("%s: the earlier run%s was moved to %s", self._folder.root, which, self._folder.archive())
        checkpoint, copies = self._plan.checkpoint, self._checkpoint_dir
        if checkpoint is None and copies is not None and copies.holds_a_run():
            log.info("%s: the earlier run's copies were moved to %s", copies.root, copies.archive())
        continues_here = checkpoint is not None and checkpoint.parent.resolve() == self._folder.last.parent.resolve()
        remove_leftovers(self._folder, self._plan.steps_done if continues_here else None)
        self._write_config()
        if checkpoint is not None:
            done = f"{format_count(self._plan.epochs_done, 'epoch')} and {format_count(self._plan.steps_done, 'step')}"
            log.info("Continuing from %s, after %s.", self._plan.origin or checkpoint, done)
