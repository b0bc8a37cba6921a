"""Who sees the steps of a training: what needs each of them, and what a few of them or a cheap call are enough for."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import (
    DeviceStatsMonitor,
    EMAWeightAveraging,
    LearningRateMonitor,
    ModelCheckpoint,
    Timer,
    WeightAveraging,
)
from pytorch_lightning.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.plugins import MixedPrecision, Precision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from lightning_app.trainer.callbacks import NoProfiler
from lightning_app.trainer.step_hooks import StepHooks

_CALLBACK_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
_MODULE_HOOKS = (*_CALLBACK_HOOKS, "optimizer_step", "optimizer_zero_grad")
_LIMIT, _AFTER = "batches_without_hooks", "after_plain_batch"
_PRECISION_METHODS = ("pre_backward", "backward", "post_backward", "optimizer_step", "_after_closure", "_wrap_closure")


class _OfTimer(StepHooks):
    """Stops one step after that in which the time is over, which Lightning's callback must see."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: Tensor | None) -> bool:
        remaining = self._timer.time_remaining()
        return remaining is not None and remaining <= 0


class _OfModelCheckpoint(StepHooks):
    def __init__(self, checkpoint: ModelCheckpoint) -> None:
        self._checkpoint = checkpoint

    def batches_without_hooks(self, trainer: pl.Trainer, batch_idx: int) -> float:
        if self._checkpoint._train_time_interval is not None:
            return 0
        steps = self._checkpoint._every_n_train_steps
        left = steps - 1 - trainer.global_step % steps if steps else math.inf
        return left * trainer.accumulate_grad_batches


class _OfWeightAveraging(StepHooks):
    """Its own hook is enough: it needs the weights after each step, and no outputs."""

    def __init__(self, averaging: WeightAveraging) -> None:
        self._averaging = averaging

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: Tensor | None) -> None:
        self._averaging.on_train_batch_end(trainer, trainer.lightning_module, None, batch, batch_idx)


class _OfLoggedSteps(StepHooks):
    """For a callback whose hooks do something only where Lightning logs; these steps are never plain."""

    def __init__(self, callback: pl.Callback) -> None:
        pass


_LIGHTNINGS: dict[type[pl.Callback], Callable[[Any], StepHooks]] = {
    Timer: _OfTimer,
    ModelCheckpoint: _OfModelCheckpoint,
    LearningRateMonitor: _OfLoggedSteps,
    DeviceStatsMonitor: _OfLoggedSteps,
    WeightAveraging: _OfWeightAveraging,
    EMAWeightAveraging: _OfWeightAveraging,
}


def reason_for_single_steps(loop: _TrainingEpochLoop, fetcher: _DataFetcher) -> str:
    """Why each step needs Lightning's hooks, or why it isn't known what else it needs; empty where it isn't so."""
    return next(filter(None, _reasons(loop, fetcher)), "")


def says_what_it_needs(module: pl.LightningModule) -> bool:
    """Whether a module has the method with which it lets steps run without Lightning's hooks."""
    return hasattr(module, _LIMIT)


def observers(trainer: pl.Trainer) -> list[StepHooks]:
    """The callbacks, or what stands for them, that do without Lightning's hooks in plain steps."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector of Lightning
    found = [_LIGHTNINGS[type(each)](each) if type(each) in _LIGHTNINGS else each for each in callbacks]
    return [each for each in found if isinstance(each, StepHooks)]


def _reasons(loop: _TrainingEpochLoop, fetcher: _DataFetcher) -> Iterator[str]:
    trainer, module = loop.trainer, loop.trainer.lightning_module
    yield from _reasons_of_module(module)
    yield from (_reason_of_callback(callback, trainer) for callback in trainer.callbacks)
    if type(trainer.profiler) not in (PassThroughProfiler, NoProfiler):
        yield f"{type(trainer.profiler).__name__} measures each step"
    if not _is_usual(trainer):
        yield f"of {type(trainer.strategy).__name__} with {type(trainer.precision_plugin).__name__}"
    if any(config.interval == "step" and config.reduce_on_plateau for config in trainer.lr_scheduler_configs):
        yield "a schedule looks at a metric after each step"
    if trainer._val_check_time_interval is not None:
        yield "validations begin by the clock"
    if type(fetcher) is not _PrefetchDataFetcher or fetcher.length is None:
        yield "the number of batches isn't known"


def _reasons_of_module(module: pl.LightningModule) -> Iterator[str]:
    name = type(module).__name__
    if not says_what_it_needs(module):
        yield f"{name} has no method {_LIMIT}"
    if not module.automatic_optimization:
        yield f"{name} optimizes by itself"
    if hook := _uncovered_hook(module, pl.LightningModule, _MODULE_HOOKS, {_LIMIT}):
        yield f"{name} has the hook {hook}"


def _reason_of_callback(callback: pl.Callback, trainer: pl.Trainer) -> str:
    name = type(callback).__name__
    if type(callback) in _LIGHTNINGS:
        # each process would see another step, and this callback waits for the others in it
        is_alone = isinstance(callback, Timer) and trainer.world_size > 1
        return f"{name} looks at the clock after each step" if is_alone else ""
    hook = _uncovered_hook(callback, pl.Callback, _CALLBACK_HOOKS, {_LIMIT, _AFTER})
    if not hook and isinstance(callback, StepHooks):
        hook = _uncovered_hook(callback, StepHooks, ["on_batch_complete"], {_LIMIT, _AFTER})
    return f"{name} has the hook {hook}" if hook else ""


def _uncovered_hook(owner: object, base: type, hooks: Iterable[str], covering: Collection[str]) -> str:
    """A hook that the owner has, and of which it doesn't say when it is needed.

    A class says so for its own hooks and those that it inherits, by a method among ``covering``.
    """
    kind = type(owner)
    classes = [each for each in kind.__mro__ if each is not StepHooks]
    covered = next((place for place, each in enumerate(classes) if covering & vars(each).keys()), len(classes))
    for hook in hooks:
        if hook in vars(owner):  # given to the object, as LambdaCallback does
            return hook
        if getattr(kind, hook) is getattr(base, hook):
            continue
        if any(hook in vars(each) for each in classes[:covered]):
            return hook
    return ""


def _is_usual(trainer: pl.Trainer) -> bool:
    """Whether strategy and precision add nothing to an optimizer step that ``PlainSteps`` doesn't do."""
    strategy, precision = trainer.strategy, trainer.precision_plugin
    if isinstance(precision, MixedPrecision):
        is_plain = type(precision) is MixedPrecision and precision.scaler is None
    else:
        is_plain = all(getattr(type(precision), name) is getattr(Precision, name) for name in _PRECISION_METHODS)
    averages = getattr(strategy, "_model_averager", None) is not None
    return is_plain and type(strategy) in (SingleDeviceStrategy, DDPStrategy) and not averages
