"""Ends training at a boundary between two steps after a signal, and saves it there; or saves it and goes on."""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from lightning_app.checkpointing.checkpoints import finish_writing
from lightning_app.checkpointing.sidecar import read_sidecar
from lightning_app.console import format_count
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from lightning_app.trainer import signals
from lightning_app.trainer.run_trainer import RunTrainer
from lightning_app.trainer.step_hooks import StepHooks
from lightning_app.watchdog.stop import Due, StopCause, Stopped
from lightning_app.watchdog.watchdog import Watchdog

log = logging.getLogger(__name__)

# the order of the boundaries that follow a number of batches
_BATCH, _IN_VALIDATION, _AFTER_VALIDATION, _EPOCH = range(4)


class StopAtBoundary(StepHooks, pl.Callback):
    """The last of a Trainer's callbacks: what the others do after a batch is in the checkpoint.

    Args:
        watchdog: Its ``stop_point`` says where to stop.
        folder: The run folder of a training; None for other commands, which have nothing to save.
        saves: Whether checkpoints are written.
    """

    def __init__(self, watchdog: Watchdog, folder: RunFolder | None, *, saves: bool) -> None:
        self._watchdog, self._point = watchdog, watchdog.stop_point
        self._folder, self._saves = folder, saves
        self._trainer: pl.Trainer | None = None
        self._batches = self._validated = 0
        self._saved: tuple[int, int] | None = None  # epochs and steps in the last checkpoint
        self._leaves_validation = False
        self._problem = ""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._trainer = trainer
        self._point.describe = self.describe

    def describe(self, cause: StopCause) -> str:
        """What has happened, what is saved, and how to continue; in one line."""
        assert self._trainer is not None
        if self._folder is None:
            return f"Stopped {cause.text} before the work was done; the same command begins it again."
        done = self._done
        if done[1] == 0:
            return f"Stopped {cause.text} before the first step; the same command begins the training again."
        return f"Stopped {cause.text} after {_count(done)}; {self._what_is_saved(done)}.{self._problem}"

    def _what_is_saved(self, done: tuple[int, int]) -> str:
        assert self._folder is not None
        saved = self._in_last or self._saved
        if saved is None:
            return "nothing is saved, and the same command begins the training again"
        what = "them" if saved == done else _count(saved)
        return f"{self._folder.last} has {what}, and the same command continues from there"

    @property
    def _done(self) -> tuple[int, int]:
        assert self._trainer is not None
        return self._trainer.current_epoch, self._trainer.global_step

    @property
    def _in_last(self) -> tuple[int, int] | None:
        """Epochs and steps in the last checkpoint, where it says so; it may be written later than it was saved."""
        assert self._folder is not None
        sidecar = read_sidecar(self._folder.last) if self._saves else None
        return None if sidecar is None else (sidecar.epoch, sidecar.step)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        signals.install_again()
        if self._folder is None:
            return
        self._note_saved(trainer)
        self._point.enter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._batches:
            self._note_saved(trainer)
        self._act_at(_EPOCH)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._batches += 1

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: Tensor | None) -> None:
        self._batches += 1
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._act_between_steps(trainer)

    def on_batch_complete(self, trainer: pl.Trainer) -> None:
        # after the last batch of an epoch come its validation and its end, which have boundaries of their own
        if self._is_after_step(trainer) and not trainer.is_last_batch:
            self._act_between_steps(trainer)

    def _act_between_steps(self, trainer: pl.Trainer) -> None:
        due = self._due(_BATCH)
        if due is Due.STOP:
            self._save(trainer)
            self._stop()
        elif due is Due.SAVE:
            self._save_and_go_on(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validated = 0

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._validated += 1
        if self._may_leave_validation(trainer) and self._leaves(_IN_VALIDATION, self._validated):
            self._leaves_validation = True
            raise StopIteration  # ends the loop over the batches; callbacks that exchanged the weights put them back

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._leaves_validation or (self._may_leave_validation(trainer) and self._leaves(_AFTER_VALIDATION)):
            self._leaves_validation = True
            self._save(trainer)
            self._stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._folder is None:
            return
        self._note_saved(trainer)
        self._act_at(_EPOCH)
        if self._point.leave() is not None:
            self._watchdog.report_stopping()
            self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._point.leave()

    def _may_leave_validation(self, trainer: pl.Trainer) -> bool:
        """Not while gradients accumulate, which no checkpoint has."""
        return self._point.in_training and (trainer.is_last_batch or self._is_after_step(trainer))

    def _is_after_step(self, trainer: pl.Trainer) -> bool:
        return self._batch_of_epoch(trainer) % trainer.accumulate_grad_batches == 0

    def _batch_of_epoch(self, trainer: pl.Trainer) -> int:
        return int(trainer.fit_loop.epoch_loop.batch_progress.current.ready)

    def _note_saved(self, trainer: pl.Trainer) -> None:
        if self._saves and self._folder is not None and trainer.global_step > 0 and self._folder.last.exists():
            self._saved = self._done

    def _leaves(self, stage: int, index: int = 0) -> bool:
        """Whether training stops in a validation. It saves only after one, when what the validation changes is back."""
        return self._due(stage, index, can_save=False) is Due.STOP

    def _due(self, stage: int, index: int = 0, *, can_save: bool = True) -> Due:
        if self._folder is None:
            return Due.NOTHING
        return self._point.due((self._batches, stage, index), can_save=can_save)

    def _act_at(self, stage: int) -> None:
        """At a boundary at which the last checkpoint is that of this step."""
        assert self._trainer is not None
        due = self._due(stage, can_save=self._trainer.global_step > 0)
        if due is Due.STOP:
            self._watchdog.report_stopping()
            self._try(partial(finish_writing, self._trainer))
            self._stop()
        elif due is Due.SAVE:
            finish_writing(self._trainer)
            self._report_save()

    def _save_and_go_on(self, trainer: pl.Trainer) -> None:
        if self._saves and self._folder is not None:
            assert isinstance(trainer, RunTrainer)
            trainer.save_now(self._folder.last)
            self._saved = self._done
        self._report_save()

    def _report_save(self) -> None:
        assert self._folder is not None
        self._point.saved_at = time.monotonic()
        if self._saves:
            log.info("Saved %s %s: %s.", _count(self._done), self._point.save_reason, self._folder.last)
        else:
            log.info("Nothing is saved %s: --trainer.enable_checkpointing is false.", self._point.save_reason)

    def _save(self, trainer: pl.Trainer) -> None:
        self._watchdog.report_stopping()
        if not self._saves or self._folder is None:
            return
        assert isinstance(trainer, RunTrainer)
        if self._try(partial(trainer.save_now, self._folder.last)):
            self._saved = self._done

    def _try(self, save: Callable[[], None]) -> bool:
        """Whether the last step is saved; if not, the process ends all the same, and says so."""
        try:
            save()
        except UsageError as error:
            self._problem = f" The last step couldn't be saved: {error}"
            return False
        return True

    def _stop(self) -> None:
        assert self._point.cause is not None
        raise Stopped(self._point.cause, self._point.line())


def _count(done: tuple[int, int]) -> str:
    return f"{format_count(done[0], 'epoch')} and {format_count(done[1], 'step')}"


def stop_after_signals(trainer: pl.Trainer, watchdog: Watchdog, folder: RunFolder | None, *, saves: bool) -> None:
    """Lets a Trainer end after a signal; see ``StopAtBoundary`` for the arguments."""
    keep_signal_handlers(trainer)
    stop = StopAtBoundary(watchdog, folder, saves=saves)
    trainer.callbacks.append(stop)  # type: ignore[attr-defined]  # after the checkpoints, which come last otherwise


def keep_signal_handlers(trainer: pl.Trainer) -> None:
    """The Trainer must not replace this program's handlers.

    Lightning's own handler of SIGTERM enters a collective operation, in which the other processes don't take part
    (Lightning #20806), and it ends a single process with status 0. There is no public way to leave it out. Before each
    step, processes also broadcast whether rank 0 has had the signal, which takes longer than a small step.
    """
    for owner, name in (
        (trainer._signal_connector, "register_signal_handlers"),
        (trainer.fit_loop.epoch_loop, "_broadcast_sigterm_tensor"),
    ):
        if hasattr(owner, name):
            setattr(owner, name, lambda: None)
