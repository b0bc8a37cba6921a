"""What people do with one logger in one program: each of these logs rows, and each of the rows must be kept.

``python tests/support/fits.py`` does all of it, each in a folder of its own below ``outputs``, and prints the logged
rows as JSON, by folder: a list of step, epoch and metrics.
"""

import contextlib
import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl

from lightning_app.azureml_logger import AzureMLRunLogger
from tests.support.lines import Line, fit_line, line_trainer

Row = tuple[int | None, int | None, dict[str, float]]
Logger = AzureMLRunLogger


class RecordingLogger(AzureMLRunLogger):
    """Notes what it is given to log, by folder."""

    logged: dict[str, list[Row]] = {}  # noqa: RUF012 shared on purpose

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        values = {name: float(value) for name, value in metrics.items()}
        epoch = values.pop("epoch", None)
        row = (step, None if epoch is None else int(epoch), values)
        self.logged.setdefault(self.save_dir, []).append(row)
        super().log_metrics(metrics, step)


class ValidationStatistics(pl.Callback):
    """Logs during validation as ``DeviceStatsMonitor`` does: each batch, at the same step."""

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        for logger in trainer.loggers:
            logger.log_metrics({"memory": 1.0}, step=trainer.global_step)


class KilledError(Exception):
    """Stands for the end of the process."""


class KillAt(pl.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise KilledError


def saving(folder: str) -> pl.callbacks.ModelCheckpoint:
    """Keeps the checkpoint of each 15th step."""
    return pl.callbacks.ModelCheckpoint(folder, every_n_train_steps=15, save_top_k=-1, filename="{step}")


def three_folds(logger: Logger) -> None:
    for _ in range(3):
        fit_line(logger, max_epochs=1, enable_checkpointing=False)


def two_stages(logger: Logger) -> None:
    fit_line(logger, max_epochs=2, enable_checkpointing=False)
    fit_line(logger, max_epochs=1, log_every_n_steps=3, enable_checkpointing=False)


def validate_after_fit(logger: Logger) -> None:
    trainer = fit_line(logger, max_epochs=1, enable_checkpointing=False)
    for _ in range(2):
        trainer.validate(Line(), verbose=False)


def test_twice(logger: Logger) -> None:
    trainer = line_trainer(logger, enable_checkpointing=False)
    for _ in range(2):
        trainer.test(Line(), verbose=False)


def accumulation(logger: Logger) -> None:
    fit_line(logger, max_epochs=1, accumulate_grad_batches=4, log_every_n_steps=1, enable_checkpointing=False)


def statistics_in_validation(logger: Logger) -> None:
    callbacks: list[pl.Callback] = [ValidationStatistics()]
    fit_line(logger, max_epochs=1, val_check_interval=5, callbacks=callbacks, enable_checkpointing=False)


def two_loggers_on_one_folder(logger: Logger) -> None:
    fit_line([logger, type(logger)(logger.save_dir)], max_epochs=1, enable_checkpointing=False)


def any_step(logger: Logger) -> None:
    for step in (5, -1, 0, -(2**40), 2**40, 5):
        logger.log_metrics({"_private": 1.5, "Private ": 2.5, "private": 3.5}, step)


FITS: dict[str, Callable[[Logger], None]] = {
    "folds": three_folds,
    "stages": two_stages,
    "validated": validate_after_fit,
    "tested": test_twice,
    "accumulated": accumulation,
    "statistics": statistics_in_validation,
    "twice": two_loggers_on_one_folder,
    "steps": any_step,
}


def killed_and_continued(first: Logger, second: Logger, checkpoints: str) -> None:
    """Three epochs of ten steps, killed in the third one, continued from the middle of the second."""
    with contextlib.suppress(KilledError):
        fit_line(first, max_epochs=3, callbacks=[saving(checkpoints), KillAt(27)])
    fit_line(second, max_epochs=3, callbacks=[saving(checkpoints)], ckpt_path=f"{checkpoints}/step=15.ckpt")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name, fit in FITS.items():
        fit(RecordingLogger(f"outputs/{name}"))
    killed_and_continued(*(RecordingLogger("outputs/continued") for _ in range(2)), "checkpoints")
    print(json.dumps(RecordingLogger.logged))
