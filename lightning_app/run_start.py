"""What happens to the run folder when training really begins: not before everything else was found in order."""

import logging
from collections.abc import Callable, Sequence

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from lightning_app.resume import Plan
from lightning_app.run_folder import RunFolder
from lightning_app.screen import counted

log = logging.getLogger(__name__)


class RunStart(pl.Callback):
    """Makes room for the run, writes ``config.yaml`` and opens the loggers.

    Lightning opens the loggers it was given before the data has been looked at, so that a typo in a path would leave
    files behind. This callback gives them to the Trainer later.
    """

    def __init__(
        self,
        folder: RunFolder,
        plan: Plan,
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
            done = counted(trainer.current_epoch, "epoch")
            log.info("Interrupted after %s; the same command goes on from there.", done)

    def _prepare_folder(self) -> None:
        if self._plan.set_aside:
            log.info("%s: the run that was here is set aside in %s", self._folder.root, self._folder.set_aside())
        self._folder.root.mkdir(parents=True, exist_ok=True)
        self._write_config()
        if self._plan.checkpoint is not None:
            done = f"{counted(self._plan.epochs_done, 'epoch')} and {counted(self._plan.steps_done, 'step')}"
            log.info("Going on from %s, after %s.", self._plan.checkpoint, done)
