"""A training with its logger and without in turns: ``python -m benchmarks.paired_training --seconds 25 --result FILE``.

It logs and ends as a training program does; what it measured is in a file by then.
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
STEPS_A_ROW = 10
STEPS_A_TURN = 250  # about half a second
WARM_UP = 1  # pairs of turns

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Paired:
    """What one process measured; ``ended`` is when its script was done, in seconds since 1970.

    ``ratio`` is the time of a turn without the logger, divided by that of the turn beside it with the logger: the
    median over ``pairs``. ``step_seconds`` is the median time of a step without.
    """

    ratio: float
    pairs: int
    step_seconds: float
    ended: float


@dataclass(frozen=True)
class Turn:
    """Steps in a row with the logger, or without."""

    logs: bool
    seconds: float


class Turns(pl.Callback):
    """Takes the logger away and gives it back, in pairs of turns in random order, and ends training after a pair.

    Without it ``trainer.loggers`` is empty, as with ``logger=False``, and the sender doesn't run: its work would
    otherwise be in both turns, and in no ratio. So with it the sender has up to twice its usual work a second.
    """

    def __init__(self, logger: AzureMLRunLogger, seconds: float) -> None:
        self._logger, self._seconds = logger, seconds
        self._logs: list[bool] = []
        self._times: list[float] = []

    def turns(self) -> list[Turn]:
        """Those after the warm-up, each pair beside one another."""
        lengths = [later - earlier for earlier, later in itertools.pairwise(self._times)]
        return [Turn(*turn) for turn in zip(self._logs, lengths, strict=True)][2 * WARM_UP :]

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        if batch_idx % STEPS_A_TURN:
            return
        self._times.append(time.perf_counter())
        if len(self._logs) % 2:
            self._take_turn(trainer, logs=not self._logs[-1])
        elif self._is_over():
            trainer.should_stop = True
        else:
            self._take_turn(trainer, logs=bool(torch.rand(()) < 0.5))

    def give_back(self, trainer: pl.Trainer) -> None:
        """The logger and its sender."""
        self._set(trainer, logs=True)

    def _take_turn(self, trainer: pl.Trainer, logs: bool) -> None:
        self._logs.append(logs)
        self._set(trainer, logs)

    def _set(self, trainer: pl.Trainer, logs: bool) -> None:
        trainer.loggers = [self._logger] if logs else []
        sender = self._logger._sender and self._logger._sender._process
        if sender:
            sender.send_signal(signal.SIGCONT if logs else signal.SIGSTOP)

    def _is_over(self) -> bool:
        return len(self._logs) > 2 * WARM_UP and self._times[-1] - self._times[0] >= self._seconds


def train(seconds: float) -> list[Turn]:
    """CIFAR Net on batches that lie ready in memory, with the logger's defaults."""
    torch.manual_seed(0)
    logger = AzureMLRunLogger()
    turns = Turns(logger, seconds)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        log_every_n_steps=STEPS_A_ROW,
        callbacks=[turns],
        logger=logger,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    try:
        trainer.fit(CifarNet(), _endless_batches())
    finally:
        turns.give_back(trainer)
    return turns.turns()


def paired(turns: Sequence[Turn], ended: float) -> Paired:
    ratios = [
        first.seconds / second.seconds if second.logs else second.seconds / first.seconds
        for first, second in zip(turns[::2], turns[1::2], strict=True)
    ]
    without = statistics.median(turn.seconds for turn in turns if not turn.logs)
    return Paired(statistics.median(ratios), len(ratios), without / STEPS_A_TURN, ended)


def _endless_batches() -> Iterator[Batch]:
    images = torch.rand(BATCHES, BATCH_SIZE, 3, 32, 32)
    labels = torch.randint(10, (BATCHES, BATCH_SIZE))
    ready = [
        (batch.contiguous(memory_format=torch.channels_last), of_batch)
        for batch, of_batch in zip(images, labels, strict=True)
    ]
    return itertools.cycle(ready)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    turns = train(given.seconds)
    given.result.write_text(json.dumps(asdict(paired(turns, time.time()))))


if __name__ == "__main__":
    main()
