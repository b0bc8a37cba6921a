"""Who hears of what a run logs."""

from collections.abc import Sequence

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from lightning_app.journal_logger import JournalLogger
from lightning_app.progress import LineLogger
from lightning_app.resume import Plan
from lightning_app.run_folder import RunFolder


def run_loggers(trainer: pl.Trainer, folder: RunFolder, plan: Plan, wanted: object) -> Sequence[Logger]:
    """The journal, TensorBoard, and the screen where no bar is drawn.

    ``wanted`` is ``--trainer.logger``: false leaves the screen alone, and a logger of the user's takes TensorBoard's
    place.
    """
    screen: list[Logger] = [] if trainer.progress_bar_callback else [LineLogger(trainer)]
    if wanted is False:
        return screen
    events = [_tensorboard(folder, plan)] if wanted in (None, True) else []
    return [JournalLogger(folder.journal), *events, *screen]


def _tensorboard(folder: RunFolder, plan: Plan) -> TensorBoardLogger:
    return TensorBoardLogger(
        str(folder.tensorboard.parent),
        name="",
        version=folder.tensorboard.name,
        default_hp_metric=False,
        # hides what a killed run showed of steps that are now repeated
        purge_step=plan.steps_done + 1 if plan.checkpoint else None,
    )
