"""Lightning's loop over the batches of an epoch, which can begin after any batch, and ends between two steps."""

from collections.abc import Callable, Iterator

import pytorch_lightning as pl
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from lightning_app.trainer.execution import Execution
from lightning_app.trainer.run_trainer import RunTrainer, has_all_batches
from lightning_app.trainer.step_hooks import StepHooks


class StepLoop(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, which can begin after any batch, and ends between two steps."""

    start_batch = 0
    ends_with_start = False  # whether the batch before start_batch was the epoch's last one
    ends_batch_first = False  # whether that batch's end is still to come: its validation, if one is due
    is_batch_complete = False  # while a batch is done and its end isn't
    before_first_batch: Callable[[_DataFetcher], bool] | None = None  # returns whether it has made the iterator
    execution: Execution

    @classmethod
    def install(cls, trainer: pl.Trainer, steps_per_execution: int | None = None) -> None:
        """Replaces the loop of a Trainer that hasn't been used yet; see ``Execution`` for the number of steps."""
        earlier = trainer.fit_loop.epoch_loop
        loop = cls(trainer, earlier.min_steps, earlier.max_steps)
        loop.execution = Execution(loop, steps_per_execution)
        trainer.fit_loop.epoch_loop = loop

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
        self.execution.start_epoch(data_fetcher)
        _set_within_step(self.trainer, True)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        if self.ends_batch_first:
            self.ends_batch_first, self.is_batch_complete = False, True
            return
        if not self.execution.run_plain_steps(data_fetcher):
            super().advance(data_fetcher)
        self.is_batch_complete = True
        for callback in self._step_hooks():
            callback.on_batch_complete(self.trainer)

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        if self._should_check_val_fx(data_fetcher):
            for callback in self._step_hooks():
                callback.on_validation_due(self.trainer)
        super().on_advance_end(data_fetcher)
        self.is_batch_complete = False
        if isinstance(self.trainer, RunTrainer):
            self.trainer.complete_step()
        if self.done and not has_all_batches(self.trainer):
            for callback in self._step_hooks():
                callback.on_stop_within_epoch(self.trainer)
        elif self._is_save_check_due():
            for callback in self._step_hooks():
                callback.on_save_check(self.trainer)
        _set_within_step(self.trainer, True)

    def _should_check_val_fx(self, data_fetcher: _DataFetcher) -> bool:
        return super()._should_check_val_fx(data_fetcher) and not self._accumulates_before_stop()

    def _step_hooks(self) -> Iterator[StepHooks]:
        return (callback for callback in self.trainer.callbacks if isinstance(callback, StepHooks))

    def _is_save_check_due(self) -> bool:
        trainer = self.trainer
        if not isinstance(trainer, RunTrainer) or trainer.global_step < trainer.next_save_check:
            return False
        return not self._should_accumulate() and not has_all_batches(trainer)

    def _accumulates_before_stop(self) -> bool:
        return bool(self.trainer.should_stop) and self._should_accumulate()


def _set_within_step(trainer: pl.Trainer, value: bool) -> None:
    if isinstance(trainer, RunTrainer):
        trainer.within_step = value
