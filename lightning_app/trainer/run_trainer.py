"""The Trainer of a run, which says who stopped it, and whose checkpoints hold no step by halves."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer

EPOCHS, STEPS, TIME, CALLBACK = "max_epochs", "max_steps", "max_time", "callback"


@dataclass(frozen=True)
class End:
    """Why training ended: ``max_epochs``, ``max_steps``, ``max_time`` or ``callback``, and then its class's name."""

    reason: str
    by: str = ""


@runtime_checkable
class WritesLater(Protocol):
    """A CheckpointIO that may write when training goes on already."""

    def finish_writing(self) -> None:
        """Waits until what was saved is written; raises UsageError if it can't be."""


class RunTrainer(pl.Trainer):
    """A Trainer that remembers who stopped it, and that writes checkpoints between two steps only.

    A callback may save in the middle of a step: at the end of its batch, or of its validation. What follows in that
    step, such as the model's own hook or a row for the loggers, would be missing after a resume. Such a checkpoint is
    written as soon as the step is complete, and one that is saved at the end of an epoch when the epoch is.

    Args:
        limit_train_batches: Batches of each epoch: 1 is one batch, 1.0 are all of them, 0.1 is a tenth.
        limit_val_batches: The same for a validation.
        limit_test_batches: The same for the test.
        limit_predict_batches: The same for a prediction.
        settings: The other settings of Lightning's Trainer.
    """

    stopped_by: object = None  # whose method has set should_stop
    within_step = False
    next_save_check = sys.maxsize  # the number of optimizer steps from which ``on_save_check`` is called
    _postponed: tuple[Callable[[], None], ...] = ()

    def __init__(
        self,
        *,
        limit_train_batches: int | float | None = None,
        limit_val_batches: int | float | None = None,
        limit_test_batches: int | float | None = None,
        limit_predict_batches: int | float | None = None,
        **settings: Any,
    ) -> None:
        # The parser takes the first type that fits. Lightning's own hints have int first, but typing keeps one order
        # of a Union in a process, often the other one: 1 became 1.0, which means all batches and not one.
        super().__init__(
            limit_train_batches=limit_train_batches,
            limit_val_batches=limit_val_batches,
            limit_test_batches=limit_test_batches,
            limit_predict_batches=limit_predict_batches,
            **settings,
        )

    @property
    def should_stop(self) -> bool:
        return self.stopped_by is not None

    @should_stop.setter
    def should_stop(self, value: bool) -> None:
        if not value:
            self.stopped_by = None
        elif self.stopped_by is None:
            self.stopped_by = sys._getframe(1).f_locals.get("self", self)

    def save_checkpoint(
        self, filepath: Any, weights_only: bool | None = None, storage_options: Any | None = None
    ) -> None:
        self.when_complete(partial(super().save_checkpoint, filepath, weights_only, storage_options))

    def when_complete(self, action: Callable[[], None]) -> None:
        """Does something between two steps, in the order in which it was asked for: at once, or after this step."""
        if self.within_step and not self.interrupted:
            self._postponed = (*self._postponed, action)
        else:
            action()

    def save_now(self, filepath: Any, *, waits: bool = True) -> None:
        """At a boundary between two batches, although the end of a step is still to come: ``Position`` says what is.

        Args:
            filepath: Of the checkpoint.
            waits: Until it is written, as where the process is about to end.
        """
        super().save_checkpoint(filepath)
        if waits and isinstance(writing := self.strategy.checkpoint_io, WritesLater):
            writing.finish_writing()

    def complete_step(self) -> None:
        """Called between two steps and between two epochs: writes the checkpoints that were asked for meanwhile."""
        self.within_step = False
        postponed, self._postponed = self._postponed, ()
        for action in postponed:
            action()

    @property
    def end(self) -> End | None:
        """Why training ends now; None while it goes on, and where it is interrupted.

        An object that sets ``should_stop`` and has a true attribute ``interrupts_run`` interrupts it: the same command
        goes on.
        """
        loop = self.fit_loop
        if 0 <= loop.max_steps <= self.global_step:
            return End(STEPS)
        if 0 <= (-1 if loop.max_epochs is None else loop.max_epochs) <= complete_epochs(self):
            return End(EPOCHS)
        if not (self.should_stop and loop._can_stop_early) or getattr(self.stopped_by, "interrupts_run", False):
            return None
        return End(TIME) if isinstance(self.stopped_by, Timer) else End(CALLBACK, type(self.stopped_by).__name__)


def complete_epochs(trainer: pl.Trainer) -> int:
    """Epochs of which every batch is done. Lightning counts one that was stopped within as well."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    return int(progress.started) - int(is_within_epoch(trainer))


def is_within_epoch(trainer: pl.Trainer) -> bool:
    """Whether an epoch has begun whose last batch isn't done, or whose end isn't."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    return progress.started > 0 and not (has_all_batches(trainer) and progress.completed == progress.started)


def has_all_batches(trainer: pl.Trainer) -> bool:
    """Whether the last batch of the epoch is done."""
    progress: Any = trainer.fit_loop.epoch_loop.batch_progress
    return bool(progress.is_last_batch or progress.current.processed >= trainer.num_training_batches)
