"""The Trainer of a run, which says who stopped it, and whose checkpoints hold no step by halves."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

EPOCHS, STEPS, TIME, CALLBACK = "max_epochs", "max_steps", "max_time", "callback"


@dataclass(frozen=True)
class End:
    """Why training ended: ``max_epochs``, ``max_steps``, ``max_time`` or ``callback``, and then its class's name."""

    reason: str
    by: str = ""


class RunTrainer(pl.Trainer):
    """A Trainer that remembers who stopped it, and that writes checkpoints between two steps only.

    A callback may save in the middle of a step: at the end of its batch, or of its validation. What follows in that
    step, such as the model's own hook or a row for the loggers, would be missing after a resume. Such a checkpoint is
    written as soon as the step is complete, and one that is saved at the end of an epoch when the epoch is.
    """

    stopped_by: object = None  # whose method has set should_stop
    within_step = False
    _postponed: tuple[Callable[[], None], ...] = ()

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

    def save_now(self, filepath: Any) -> None:
        """Where the process is about to end; ``Position`` says what of the step is left."""
        super().save_checkpoint(filepath)

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


class StepLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, which can begin after any batch, and ends between two steps."""

    start_batch = 0
    ends_with_start = False  # whether the batch before start_batch was the epoch's last one
    ends_batch_first = False  # whether that batch's end is still to come: its validation, if one is due
    is_batch_complete = False  # while a batch is done and its end isn't
    before_first_batch: Callable[[_DataFetcher], bool] | None = None  # returns whether it has made the iterator

    @classmethod
    def install(cls, trainer: pl.Trainer) -> None:
        """Replaces the loop of a Trainer that hasn't been used yet."""
        earlier = trainer.fit_loop.epoch_loop
        trainer.fit_loop.epoch_loop = cls(trainer, earlier.min_steps, earlier.max_steps)

    @property
    def done(self) -> bool:
        # a stop within an accumulation of gradients would lose them
        return super().done and not self._accumulates_before_stop() and not self.ends_batch_first

    def reset(self) -> None:
        super().reset()
        current = self.batch_progress.current
        current.ready = current.started = current.processed = current.completed = self.start_batch  # type: ignore[attr-defined]  # of a tracker that has all four
        self.batch_progress.is_last_batch = self.ends_with_start
        self.start_batch, self.ends_with_start = 0, False

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        prepare, self.before_first_batch = self.before_first_batch, None
        if prepare is not None and prepare(data_fetcher):
            self.trainer.fit_loop._resuming_from_checkpoint = True  # Lightning makes no further iterator then
        super().on_run_start(data_fetcher)
        _set_within_step(self.trainer, True)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        if self.ends_batch_first:
            self.ends_batch_first, self.is_batch_complete = False, True
            return
        super().advance(data_fetcher)
        self.is_batch_complete = True
        for callback in self.trainer.callbacks:
            if isinstance(callback, StepHooks):
                callback.on_batch_complete(self.trainer)

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        if self._should_check_val_fx(data_fetcher):
            for callback in self.trainer.callbacks:
                if isinstance(callback, StepHooks):
                    callback.on_validation_due(self.trainer)
        super().on_advance_end(data_fetcher)
        self.is_batch_complete = False
        if isinstance(self.trainer, RunTrainer):
            self.trainer.complete_step()
        if self.done and not has_all_batches(self.trainer):
            for callback in self.trainer.callbacks:
                if isinstance(callback, StepHooks):
                    callback.on_stop_within_epoch(self.trainer)
        _set_within_step(self.trainer, True)

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        return super()._should_check_val_fx(data_fetcher) and not self._accumulates_before_stop()

    def _accumulates_before_stop(self) -> bool:
        return bool(self.trainer.should_stop) and self._should_accumulate()


class StepHooks:
    """Hooks of a callback that Lightning doesn't have."""

    def on_batch_complete(self, trainer: pl.Trainer) -> None:
        """All hooks after the batch are done, and its values are logged; its validation, if one is due, is next."""

    def on_validation_due(self, trainer: pl.Trainer) -> None:
        """Before the loop of the validation takes its first random number."""

    def on_stop_within_epoch(self, trainer: pl.Trainer) -> None:
        """Training stops within an epoch: the last step is complete, its validation included.

        Lightning ends the epoch next, as if it were whole.
        """


def _set_within_step(trainer: pl.Trainer, value: bool) -> None:
    if isinstance(trainer, RunTrainer):
        trainer.within_step = value
