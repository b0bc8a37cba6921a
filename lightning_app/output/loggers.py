"""The loggers of a training: the journal, TensorBoard, and lines on the console."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from lightning_app.azureml.delivery_log import count_undelivered
from lightning_app.azureml.destination import find_destination
from lightning_app.azureml.journal_identity import read_identity
from lightning_app.azureml_logger import AzureMLRunLogger
from lightning_app.checkpointing.resume_plan import ResumePlan
from lightning_app.errors import UsageError
from lightning_app.output.progress import LineLogger
from lightning_app.output.tensorboard import RunTensorBoard
from lightning_app.run_folder import RunFolder


def create_loggers(
    trainer: pl.Trainer, folder: RunFolder, plan: ResumePlan, settings: Mapping[str, Any]
) -> Sequence[Logger]:
    """The journal (delivered to Azure ML in a job), TensorBoard, and lines on the console where there is no bar.

    With ``--trainer.logger false`` only the lines. A logger that the user chose replaces TensorBoard.
    """
    chosen = settings["trainer"]["logger"]
    lines: list[Logger] = [] if trainer.progress_bar_callback else [LineLogger(trainer)]
    if chosen is False:
        return lines
    tensorboard = [_tensorboard(folder, plan)] if chosen in (None, True) else []
    journal = AzureMLRunLogger(folder.root, **settings["azureml"])
    if plan.checkpoint is None:
        journal.restart_journal()
    if settings["trainer"]["enable_autolog_hparams"]:
        for logger in (journal, *tensorboard):
            logger.log_hyperparams(_hyperparameters(settings))
    return [journal, *tensorboard, *lines]


def deliver_rest(folder: RunFolder, azureml: Mapping[str, Any]) -> None:
    """Delivers what is left of a finished run, whose processes may have been killed before they could.

    Does nothing outside of the job that has logged it, and where nothing is left. ``azureml`` are the settings of the
    logger.
    """
    destination, identity = find_destination(), read_identity(folder)
    if destination is None or identity is None or identity.run != destination.run_id:
        return
    if count_undelivered(folder, destination.run_in(folder)):
        logger = AzureMLRunLogger(folder.root, **azureml)
        logger.journal_position()  # opens the folder
        logger.close()


def check_azureml(settings: Mapping[str, Any]) -> None:
    """Raises UsageError if ``--azureml.*`` or the variables can't be used, before the run folder is touched."""
    find_destination()
    try:
        AzureMLRunLogger(**settings)
    except ValueError as error:
        raise UsageError(f"--azureml.{error}") from error


def _hyperparameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that neither the model nor the datamodule logs itself."""
    classes = {part: settings[part]["class_path"] for part in ("model", "data") if settings.get(part)}
    return classes | {"num_epochs": settings["trainer"]["max_epochs"], "seed": settings["seed_everything"]}


def _tensorboard(folder: RunFolder, plan: ResumePlan) -> RunTensorBoard:
    return RunTensorBoard(
        str(folder.tensorboard.parent),
        name="",
        version=folder.tensorboard.name,
        default_hp_metric=False,
        purge_step=plan.steps_done + 1,  # hides steps that a killed run logged and that are now repeated
    )
