"""``history.jsonl``: each start of a training in a run folder, and its end, for the report."""

import importlib.metadata
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytorch_lightning as pl

from lightning_app.azureml import job
from lightning_app.azureml.json_lines import JsonLines, complete_last_line
from lightning_app.output.devices import device_text
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.callbacks import Throughput
from lightning_app.trainer.run_trainer import complete_epochs

log = logging.getLogger(__name__)

_PACKAGES = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "numpy")
_GIT_SECONDS = 5.0


class RunHistory(pl.Callback):
    """Appends an object at the start of a training, at its end, and after the test; rank 0 writes.

    ``parts`` of an end are seconds: of the preparation until the first step, of the training, of its validations, and
    of the rest, such as waiting for checkpoints.

    Args:
        folder: The run folder, which exists when training starts.
        throughput: Measures the training.
    """

    def __init__(self, folder: RunFolder, throughput: Throughput) -> None:
        self._folder, self._throughput = folder, throughput
        self._created = self._part_started = time.monotonic()
        self._preparation = self._validation = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            steps = {"step": trainer.global_step, "processes": trainer.world_size, "device": device_text(trainer)}
            self._write("start", steps | environment())

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._preparation, self._validation = time.monotonic() - self._created, 0.0

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._part_started = time.monotonic()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validation += time.monotonic() - self._part_started

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        seconds = time.monotonic() - self._created
        parts = {"preparation": self._preparation, "training": self._throughput.seconds, "validation": self._validation}
        parts["other"] = max(0.0, seconds - sum(parts.values()))
        self._write(
            "end",
            {
                "step": trainer.global_step,
                "epochs": complete_epochs(trainer),
                "seconds": round(seconds, 3),
                "images_per_second": round(self._throughput.images_per_second, 1),
                "parts": {name: round(part, 3) for name, part in parts.items()},
            },
        )

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._part_started = time.monotonic()

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self._write("test", {"parts": {"test": round(time.monotonic() - self._part_started, 3)}})

    def _write(self, event: str, content: Mapping[str, Any]) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        try:
            complete_last_line(self._folder.history)
            JsonLines(self._folder.history).append({"event": event, "time": now, **content})
        except OSError as error:  # the training is worth more than its history
            log.warning("%s: can't be written (%s).", self._folder.history, error.strerror)


def environment() -> dict[str, Any]:
    """The command and what it runs on, as plain objects."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "command": _command(),
        "folder": os.getcwd(),  # noqa: PTH109 a text is wanted
        "git commit": _git_commit(),
        "azureml run": job.run_id(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "versions": versions,
    }


def _command() -> list[str]:
    """The command line of this process; Python's own flags and ``-m`` are as they were given."""
    return [os.path.basename(sys.orig_argv[0]), *sys.orig_argv[1:]]  # noqa: PTH119 a text is wanted


def _git_commit() -> str | None:
    """The commit of the working folder, with a plus sign if files in it differ; None without git or a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        asked = ([git, "rev-parse", "HEAD"], [git, "status", "--porcelain", "--untracked-files=no"])
        commit, changes = (
            subprocess.run(words, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True).stdout.strip()
            for words in asked
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}{'+' if changes else ''}"
