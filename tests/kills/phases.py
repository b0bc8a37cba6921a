"""In which phase a training is, written by the training itself to memory that outlives its process."""

import mmap
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

FOLDER = "TRAINING_PHASES"  # the variable that names the folder
PHASES = ("start-up", "training", "validation", "checkpoint", "end")
_LAYOUT = struct.Struct("<5q")  # process, phase, changes of the phase, first step, steps done


@dataclass(frozen=True)
class Progress:
    """Where a process was when it was last heard of.

    Args:
        pid: The process; 0 if it has never come so far.
        phase: One of ``PHASES``.
        changes: How often the phase has changed.
        first: Steps that were done when training began; -1 before that.
        steps: Steps that are done.
    """

    pid: int = 0
    phase: str = PHASES[0]
    changes: int = 0
    first: int = -1
    steps: int = 0


def read_progress(folder: Path, rank: int = 0) -> Progress:
    try:
        pid, phase, *numbers = _LAYOUT.unpack((folder / str(rank)).read_bytes())
    except (OSError, struct.error):  # not there yet, or without content
        return Progress()
    return Progress(pid, PHASES[phase], *numbers)


def read_saves(folder: Path, rank: int = 0) -> list[int]:
    """The steps of the states that a process has begun to save, in their order."""
    file = _saves(folder, rank)
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def _saves(folder: Path, rank: int) -> Path:
    return folder / f"saves-{rank}"


class Phases(pl.Callback):
    """Writes the phase and the steps of each process to a file of its rank in the folder that a variable names."""

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._changes, self._phase, self._first = 0, PHASES[0], -1
        self._delay = float(os.environ.get("TRAINING_DELAY", 0))  # seconds that a step takes longer

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self._memory is None:
            path = Path(os.environ[FOLDER], str(trainer.global_rank))
            path.write_bytes(bytes(_LAYOUT.size))
            with path.open("r+b") as file:
                self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._enter("start-up" if stage == "fit" else "end", trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._first = trainer.global_step
        self._enter("training", trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._enter("training", trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        time.sleep(self._delay)
        if self._phase != "training":
            self._enter("training", trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._write(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._enter("validation", trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._enter("training", trainer)

    def on_save_checkpoint(self, trainer: pl.Trainer, *_: Any) -> None:
        self._enter("checkpoint", trainer)
        with _saves(Path(os.environ[FOLDER]), trainer.global_rank).open("a") as file:
            file.write(f"{trainer.global_step}\n")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._enter("end", trainer)

    def _enter(self, phase: str, trainer: pl.Trainer) -> None:
        self._phase, self._changes = phase, self._changes + 1
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        assert self._memory is not None
        phase = PHASES.index(self._phase)
        _LAYOUT.pack_into(self._memory, 0, os.getpid(), phase, self._changes, self._first, trainer.global_step)
