"""Trains with and without the logger in turns: ``python -m benchmarks.paired_training --seconds 25 --result FILE``.

It logs and ends as a training program does. The measurement is in FILE before it ends.
"""

import argparse
import itertools
import json
import logging
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_app.azureml_logger import AzureMLRunLogger
from models.cifar_net import CifarNet

BATCH_SIZE = 8
BATCHES = 64
LOG_INTERVAL = 10  # steps
STEPS_PER_TURN = 250  # about half a second
WARM_UP = 1  # pairs of turns

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Paired:
    """The measurement of one process.

    Args:
        ratio: Time of a turn without the logger, divided by that of the adjacent turn with it; the median over pairs.
        pairs: Number of pairs of turns.
        step_seconds: Median time of a step without the logger.
        ended: When the script ended, in seconds since 1970.
    """

    ratio: float
    pairs: int
    step_seconds: float
    ended: float


@dataclass(frozen=True)
class Turn:
    """Consecutive steps with the logger, or without it."""

    logs: bool
    seconds: float


class Turns(pl.Callback):
    """Removes the logger and adds it again, in pairs of turns in random order, and ends training after a pair.

    In a turn without the logger, ``trainer.loggers`` is empty, as with ``logger=False``, and the sender is stopped:
    otherwise it would work in both turns, and the ratio wouldn't show its cost. In a turn with the logger, the sender
    therefore has up to twice its usual work per second.
    """

    def __init__(self, logger: AzureMLRunLogger, seconds: float) -> None:
        self._logger, self._seconds = logger, seconds
        self._logs: list[bool] = []
        self._times: list[float] = []

    def turns(self) -> list[Turn]:
        """The turns after the warm-up; the two of a pair are adjacent."""
        lengths = [later - earlier for earlier, later in itertools.pairwise(self._times)]
        return [Turn(*turn) for turn in zip(self._logs, lengths, strict=True)][2 * WARM_UP :]

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if batch_idx % STEPS_PER_TURN:
            return
        self._times.append(time.perf_counter())
        if len(self._logs) % 2:
            self._start_turn(trainer, logs=not self._logs[-1])
        elif self._has_ended():
            trainer.should_stop = True
        else:
            self._start_turn(trainer, logs=bool(torch.rand(()) < 0.5))

    def restore(self, trainer: pl.Trainer) -> None:
        """Adds the logger again and lets the sender continue."""
        self._set_logger(trainer, logs=True)

    def _start_turn(self, trainer: pl.Trainer, logs: bool) -> None:
        self._logs.append(logs)
        self._set_logger(trainer, logs)

    def _set_logger(self, trainer: pl.Trainer, logs: bool) -> None:
        trainer.loggers = [self._logger] if logs else []
        opened = self._logger._opened
        sender = opened.sender._process if opened and opened.sender else None
        if sender:
            sender.send_signal(signal.SIGCONT if logs else signal.SIGSTOP)

    def _has_ended(self) -> bool:
        return len(self._logs) > 2 * WARM_UP and self._times[-1] - self._times[0] >= self._seconds


def train(seconds: float) -> list[Turn]:
    """Trains CifarNet on batches in memory, with the logger's defaults."""
    torch.manual_seed(0)
    logger = AzureMLRunLogger()
    turns = Turns(logger, seconds)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        log_every_n_steps=LOG_INTERVAL,
        callbacks=[turns],
        logger=logger,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    try:
        trainer.fit(CifarNet(), _endless_batches())
    finally:
        turns.restore(trainer)
    return turns.turns()


def paired(turns: Sequence[Turn], ended: float) -> Paired:
    ratios = [
        first.seconds / second.seconds if second.logs else second.seconds / first.seconds
        for first, second in zip(turns[::2], turns[1::2], strict=True)
    ]
    without = statistics.median(turn.seconds for turn in turns if not turn.logs)
    return Paired(statistics.median(ratios), len(ratios), without / STEPS_PER_TURN, ended)


def _endless_batches() -> Iterator[Batch]:
    images = torch.rand(BATCHES, BATCH_SIZE, 3, 32, 32)
    labels = torch.randint(10, (BATCHES, BATCH_SIZE))
    batches = [
        (batch.contiguous(memory_format=torch.channels_last), batch_labels)
        for batch, batch_labels in zip(images, labels, strict=True)
    ]
    return itertools.cycle(batches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--result", type=Path, required=True)
    arguments = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    turns = train(arguments.seconds)
    arguments.result.write_text(json.dumps(asdict(paired(turns, time.time()))))


if __name__ == "__main__":
    main()
