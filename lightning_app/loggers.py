"""Who hears of what a run logs."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from lightning_app.azureml_logger import AzureMLRunLogger
from lightning_app.errors import UsageError
from lightning_app.progress import LineLogger
from lightning_app.resume import Plan
from lightning_app.run_folder import RunFolder


def run_loggers(trainer: pl.Trainer, folder: RunFolder, plan: Plan, settings: Mapping[str, Any]) -> Sequence[Logger]:
    """The journal, which Azure ML hears of in a job, TensorBoard, and the screen where no bar is drawn.

    With ``--trainer.logger false`` the screen alone; a logger of the user's takes TensorBoard's place.
    """
    wanted = settings["trainer"]["logger"]
    screen: list[Logger] = [] if trainer.progress_bar_callback else [LineLogger(trainer)]
    if wanted is False:
        return screen
    events = [_tensorboard(folder, plan)] if wanted in (None, True) else []
    journal = AzureMLRunLogger(folder.root, **settings["azureml"])
    journal.log_hyperparams(_hyperparameters(settings))
    return [journal, *events, *screen]


def check_azureml(settings: Mapping[str, Any]) -> None:
    """Raises UsageError where ``--azureml.*`` can't be used, before anything is begun."""
    try:
        AzureMLRunLogger(**settings)
    except ValueError as error:
        raise UsageError(f"--azureml.{error}") from error


def _hyperparameters(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those that neither the model nor the data tells by itself."""
    chosen = {part: settings[part]["class_path"] for part in ("model", "data") if settings.get(part)}
    return chosen | {"num_epochs": settings["trainer"]["max_epochs"], "seed": settings["seed_everything"]}


def _tensorboard(folder: RunFolder, plan: Plan) -> TensorBoardLogger:
    return TensorBoardLogger(
        str(folder.tensorboard.parent),
        name="",
        version=folder.tensorboard.name,
        default_hp_metric=False,
        purge_step=plan.steps_done + 1,  # hides what a killed run showed of steps that are now repeated
    )
