"""The callbacks that every training has, around those that the user gives."""

from collections.abc import Sequence

import pytorch_lightning as pl
from jsonargparse import Namespace

from lightning_app.azureml.journal_position import JournalPosition
from lightning_app.checkpointing.checkpoints import RunCheckpoints
from lightning_app.checkpointing.exact_resume import ExactResume
from lightning_app.checkpointing.monitor import Monitor
from lightning_app.checkpointing.save_interval import SaveInterval
from lightning_app.output.history import RunHistory
from lightning_app.output.summary import RunRecord
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.averaging import AveragedCheckpoint
from lightning_app.trainer.callbacks import LogLearningRate, Throughput
from lightning_app.trainer.early_stopping import NoImprovement
from lightning_app.trainer.finders import RecordFound
from lightning_app.trainer.frozen_features import FrozenFeatures
from lightning_app.trainer.nonfinite import NonFiniteLoss
from lightning_app.training import RunFolderSetup


def with_standard(
    callbacks: Sequence[pl.Callback],
    settings: Namespace,
    folder: RunFolder,
    setup: RunFolderSetup,
    found: RecordFound,
    *,
    logs_itself: bool,
) -> list[pl.Callback]:
    """The user's callbacks between those that come first and those that come after them; the order matters.

    Args:
        callbacks: The user's.
        settings: Of the command ``fit``.
        folder: The run folder.
        setup: Prepares the run folder.
        found: Records what Lightning's finders find.
        logs_itself: Whether the model logs the learning rate itself, as those of this project do.
    """
    loss = NonFiniteLoss(stop=settings.azureml.stop_on_nonfinite)
    throughput = Throughput()
    measured = [RunRecord(), throughput, RunHistory(folder, throughput)]
    first = [ExactResume(), setup, JournalPosition(), *measured, loss, found, FrozenFeatures()]
    last: list[pl.Callback] = [] if logs_itself else [LogLearningRate()]
    if settings.early_stopping is not None:
        last.append(NoImprovement(settings.early_stopping, Monitor(settings.monitor, settings.monitor_mode)))
    if settings.trainer.enable_checkpointing is not False:
        monitor = Monitor(settings.monitor, settings.monitor_mode)
        last += [
            RunCheckpoints(folder, monitor, SaveInterval.parse(settings.checkpoint_every)),
            AveragedCheckpoint(folder),
        ]
    return [*first, *callbacks, *last]
