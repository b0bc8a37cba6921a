"""Which steps run together: an execution is a number of plain steps, and then one with all of Lightning's hooks."""

import logging
import math
from collections.abc import Callable
from functools import partial

from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from lightning_app.trainer.plain_steps import PlainSteps
from lightning_app.trainer.step_hooks import StepHooks
from lightning_app.trainer.step_observers import observers, reason_for_single_steps, says_what_it_needs

log = logging.getLogger(__name__)


class Execution:
    """Runs plain steps up to the next step that something needs to see, which is left to Lightning.

    Lightning's own steps are: the last one of an epoch and of the training, those in which Lightning logs, those after
    which a validation is due, those that the module or a callback needs, each one while training is asked to stop, and
    the last one of each execution.

    Args:
        loop: The loop over the batches.
        steps: The largest number of optimizer steps in one execution; None for as many as nothing needs to see.
    """

    def __init__(self, loop: _TrainingEpochLoop, steps: int | None) -> None:
        self._loop, self._steps = loop, steps
        self._plain: PlainSteps | None = None
        self._limits: list[Callable[[int], float]] = []
        self._reason = ""

    def start_epoch(self, fetcher: _DataFetcher) -> None:
        """After the hooks at the start of an epoch, which may have changed callbacks, optimizers and schedules."""
        self._plain = None
        if self._steps == 1:
            return
        if reason := reason_for_single_steps(self._loop, fetcher):
            self._say_once(reason)
            return
        trainer, found = self._loop.trainer, observers(self._loop.trainer)
        self._plain = PlainSteps(self._loop, [each.after_plain_batch for each in found if _has_after(each)])
        self._limits = [partial(each.batches_without_hooks, trainer) for each in found]
        self._limits.append(trainer.lightning_module.batches_without_hooks)

    def run_plain_steps(self, fetcher: _DataFetcher) -> bool:
        """Runs those that come before the next step of Lightning's; returns whether training is to stop after them.

        If so, Lightning logs the values of the last one, whose end is still to come.
        """
        if self._plain is None or (batches := self._batches(fetcher)) <= 0:
            return False
        self._plain.run(fetcher, batches)
        if not self._loop.trainer.should_stop:
            return False
        self._loop._batches_that_stepped -= 1  # counted again at the end of the batch
        connector = self._loop.trainer._logger_connector
        connector.on_batch_end()
        connector.update_train_step_metrics()
        return True

    def _batches(self, fetcher: _DataFetcher) -> int:
        """How many of the next batches are those of plain steps; whole steps, where gradients are accumulated."""
        loop, trainer = self._loop, self._loop.trainer
        done = loop.batch_progress.current.ready
        accumulated = trainer.accumulate_grad_batches
        if trainer.should_stop or loop.restarting or done % accumulated:
            return 0
        if loop.automatic_optimization._skip_backward:  # a callback computes the last epoch without gradients
            return 0
        batches = min(self._until_last(fetcher), self._until_validation(), *(limit(done) for limit in self._limits))
        steps = min(batches // accumulated, self._until_max_steps(), self._until_logged(), self._until_save_check())
        return int(min(steps, self._steps - 1 if self._steps else math.inf)) * int(accumulated)

    def _until_last(self, fetcher: _DataFetcher) -> float:
        assert fetcher.length is not None
        done = self._loop.batch_progress.current.ready
        return float(min(fetcher.length - fetcher.fetched, self._loop.trainer.num_training_batches - done) - 1)

    def _until_validation(self) -> float:
        loop, trainer = self._loop, self._loop.trainer
        if not loop._should_check_val_epoch() or trainer.val_check_batch in (None, math.inf):
            return math.inf
        done = 1 + (loop.total_batch_idx if trainer.check_val_every_n_epoch is None else loop.batch_idx)
        return float(trainer.val_check_batch - 1 - done % trainer.val_check_batch)

    def _until_max_steps(self) -> float:
        return math.inf if self._loop.max_steps == -1 else self._loop.max_steps - 1 - self._loop.global_step

    def _until_logged(self) -> float:
        interval: int = self._loop.trainer.log_every_n_steps
        return interval - 1 - self._loop._batches_that_stepped % interval if interval else math.inf

    def _until_save_check(self) -> float:
        return float(getattr(self._loop.trainer, "next_save_check", math.inf) - 1 - self._loop.global_step)

    def _say_once(self, reason: str) -> None:
        """Where several steps were asked for, and where they would run together but for what the user has added."""
        if reason == self._reason:
            return
        self._reason = reason
        if self._steps is not None or says_what_it_needs(self._loop.trainer.lightning_module):
            given = "auto" if self._steps is None else self._steps
            log.info("--steps_per_execution %s: one step at a time, because %s.", given, reason)


def _has_after(observer: StepHooks) -> bool:
    return type(observer).after_plain_batch is not StepHooks.after_plain_batch
