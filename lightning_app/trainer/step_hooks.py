"""Hooks of a callback that Lightning doesn't have."""

import math
from typing import Any

import pytorch_lightning as pl
from torch import Tensor


class StepHooks:
    """Hooks of a callback that Lightning doesn't have.

    Most steps of an execution are plain: Lightning's hooks aren't called in them (see ``trainer.execution``). A
    callback with a hook of Lightning's for each batch, or with ``on_batch_complete``, sees all batches, one step at a
    time, unless it has one of the last two hooks as well.
    """

    def on_batch_complete(self, trainer: pl.Trainer) -> None:
        """All hooks after the batch are done, and its values are logged; its validation, if one is due, is next."""

    def on_validation_due(self, trainer: pl.Trainer) -> None:
        """Before the loop of the validation takes its first random number."""

    def on_stop_within_epoch(self, trainer: pl.Trainer) -> None:
        """Training stops within an epoch: the last step is complete, its validation included.

        Lightning ends the epoch next, as if it were whole.
        """

    def on_save_check(self, trainer: pl.Trainer) -> None:
        """After the first step that reaches ``RunTrainer.next_save_check``: all of it is done, its validation included.

        Neither at the end of an epoch nor where training stops, which have hooks of their own, nor while gradients
        accumulate. It is called at the same step in all processes.
        """

    def batches_without_hooks(self, trainer: pl.Trainer, batch_idx: int) -> float:
        """How many of the epoch's next batches, from ``batch_idx`` on, this callback needs no hook for."""
        return math.inf

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: Tensor | None) -> bool | None:
        """After a batch of a plain step, in place of all hooks of Lightning's.

        The counters of the Trainer are those after the batch. A microsecond here is a thousandth of a small step.

        Returns:
            Whether the next step must have all hooks.
        """
