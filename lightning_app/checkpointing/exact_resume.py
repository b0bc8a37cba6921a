"""What a resumed run needs beside Lightning's own state, so that it equals a run that never stopped."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.data import sized_len
from pytorch_lightning.callbacks import BaseFinetuning
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.loop import _Loop
from pytorch_lightning.trainer.states import TrainerFn
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_app.checkpointing.position import KEY, Position, images_per_step, loaders, set_counters
from lightning_app.checkpointing.process_state import (
    collect_state,
    random_states,
    restore_modules,
    restore_state,
    set_random_states,
)
from lightning_app.checkpointing.redistribution import redistribute
from lightning_app.checkpointing.remaining_batches import draw_indices, seek
from lightning_app.distributed.sync import gather
from lightning_app.errors import UsageError, one_line
from lightning_app.trainer.run_trainer import RunTrainer
from lightning_app.trainer.step_hooks import StepHooks
from lightning_app.trainer.step_loop import StepLoop

log = logging.getLogger(__name__)


class ExactResume(StepHooks, pl.Callback):
    """Saves and restores what Lightning doesn't: the position within the epoch, random states, metrics, modes.

    It is the first callback, so that its hooks run before those that change anything. Lightning's own resume within an
    epoch skips hooks and validations or repeats them; here the loop begins the epoch like any other, with its hooks,
    and then continues after the batches that are done. The state of each process is in the checkpoint.
    """

    def __init__(self) -> None:
        self._position = Position(0)
        self._images: list[int | None] | None = None
        self._states: list[dict[str, Any]] = []  # by rank
        self._callbacks: Mapping[str, Any] = {}
        self._parameter_groups: list[list[dict[str, Any]]] = []  # of each optimizer
        self._before_validation: dict[str, Any] = {}
        self._before_iterator: dict[str, Any] = {}  # the random states from which the epoch's iterator was made

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._before_iterator = random_states()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            # what a validation has changed is left out of a checkpoint in its course: a resume begins it again
            state = self._before_validation if trainer.validating else collect_state(trainer, pl_module)
            state |= {"before_iterator": self._before_iterator}
            position = Position.of(trainer)
            end = trainer.end if isinstance(trainer, RunTrainer) else None
            checkpoint[KEY] = {
                "position": asdict(position),
                "processes": gather(trainer, state),
                "end": None if end is None else asdict(end),
                "images": _training_images(trainer),
            }
            # as Lightning numbers them: the epoch of the last batch, although the end of the epoch is over now
            checkpoint["epoch"] = position.epoch if position.batches else max(0, position.epoch - 1)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        self._position = Position.read(checkpoint)
        self._states = checkpoint.get(KEY, {}).get("processes", [])
        self._images = checkpoint.get(KEY, {}).get("images")
        self._callbacks = checkpoint.get("callbacks", {})
        self._parameter_groups = [state["param_groups"] for state in checkpoint.get("optimizer_states", [])]
        set_counters(checkpoint["loops"]["fit_loop"], self._position)
        if self._states and len(self._states) != trainer.world_size:
            log.info("The run had %d processes and has %d now.", len(self._states), trainer.world_size)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for loop in _with_inner_loops(trainer.fit_loop):  # the counters are those of a run between two epochs
            loop._restarting = loop._loaded_from_state_dict = loop._resuming_from_checkpoint = False
            loop.reset_restart_stage()
        images = _training_images(trainer)
        # the checkpoint that a finder restores was saved before there were images
        if self._images and images != self._images:
            raise UsageError(
                f"the data has {_listed(images)} training images, and the run that is continued had "
                f"{_listed(self._images)}; give the same data, or --resume never to start a new run"
            )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(trainer, RunTrainer):
            trainer.complete_step()
        if self._states:
            self._restore(trainer, pl_module)
        loop, position = trainer.fit_loop.epoch_loop, self._position
        if isinstance(loop, StepLoop):
            loop.start_batch, loop.ends_with_start = self._batches_done(trainer), position.is_last
            loop.ends_batch_first = position.ends_batch
            loop.before_first_batch = lambda fetcher: self._make_iterator(trainer, pl_module, fetcher)
        if position.batches:
            for callback in _finetunings(trainer):  # each call of their hook raises a learning rate
                vars(callback)["on_train_epoch_start"] = lambda *_: None

    def on_validation_due(self, trainer: pl.Trainer) -> None:
        self._before_validation = collect_state(trainer, trainer.lightning_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(trainer, RunTrainer):
            trainer.complete_step()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._states:  # nothing was left to train, and no epoch has begun: the end of the fit is all that is left
            restore_modules(pl_module, self._own_state(trainer, pl_module))

    def _make_iterator(self, trainer: pl.Trainer, pl_module: pl.LightningModule, fetcher: _DataFetcher) -> bool:
        """Called after the hooks at the start of an epoch; returns whether it has made the iterator of the epoch."""
        batches = self._batches_done(trainer)
        if batches:
            self._repair_after_hooks(trainer)
            self._seek(trainer, batches)
            iter(fetcher)
            draw_indices(trainer)
        elif trainer.current_epoch > 0:
            self._before_iterator = random_states()
        if batches and self._states:
            self._restore(trainer, pl_module)
        self._position, self._states, self._callbacks, self._parameter_groups = Position(0), [], {}, []
        return batches > 0

    def _restore(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        try:
            restore_state(trainer, pl_module, self._own_state(trainer, pl_module))
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise UsageError(
                f"the checkpoint's state of rank {trainer.global_rank} can't be restored ({one_line(error)}); give "
                "another checkpoint by --resume PATH, or --resume never to start a new run"
            ) from error

    def _own_state(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        if len(self._states) == trainer.world_size:
            return self._states[trainer.global_rank]
        return redistribute(self._states, pl_module, trainer.global_rank, trainer.world_size)

    def _repair_after_hooks(self, trainer: pl.Trainer) -> None:
        """The hooks at the start of an epoch have run a second time in it: what they changed is loaded again."""
        for callback in _finetunings(trainer):
            vars(callback).pop("on_train_epoch_start", None)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector of Lightning
            state = self._callbacks.get(callback.state_key)
            if state is not None and is_overridden("on_train_epoch_start", callback, pl.Callback):
                callback.load_state_dict(state)
        for optimizer, saved in zip(trainer.optimizers, self._parameter_groups, strict=False):
            for group, values in zip(optimizer.param_groups, saved, strict=False):
                group.update({name: value for name, value in values.items() if name != "params"})

    def _batches_done(self, trainer: pl.Trainer) -> int:
        """Also where a step has another number of images now: then as many batches as hold the images that are done."""
        sizes = {images_per_step(loader) for loader in loaders(trainer)}
        size = sizes.pop() if len(sizes) == 1 else 0
        return self._position.images // size if size and self._position.images else self._position.batches

    def _seek(self, trainer: pl.Trainer, batches: int) -> None:
        if self._states:
            is_same = len(self._states) == trainer.world_size
            self._before_iterator = self._states[trainer.global_rank if is_same else 0]["before_iterator"]
            set_random_states(self._before_iterator)
        fit_loop = trainer.fit_loop
        if fit_loop._combined_loader is not None:
            fit_loop._combined_loader._load_state_dicts(fit_loop._combined_loader_states_to_load)
        for loader in loaders(trainer):
            if not seek(loader, batches):
                log.warning(
                    "%s can't be resumed within an epoch: its remaining batches begin with its first ones again.",
                    type(loader).__name__,
                )


def _finetunings(trainer: pl.Trainer) -> list[BaseFinetuning]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector of Lightning
    return [callback for callback in callbacks if isinstance(callback, BaseFinetuning)]


def _training_images(trainer: pl.Trainer) -> list[int | None]:
    """Of each loader; None where it is unknown."""
    return [sized_len(getattr(loader, "images", getattr(loader, "dataset", None))) for loader in loaders(trainer)]


def _listed(counts: list[int | None]) -> str:
    return ", ".join("an unknown number of" if count is None else f"{count:,}" for count in counts) or "no"


def _with_inner_loops(loop: _Loop) -> Iterator[_Loop]:
    yield loop
    for inner in vars(loop).values():
        if isinstance(inner, _Loop):
            yield from _with_inner_loops(inner)
