"""Training steps without Lightning's hooks, and counted as Lightning counts them."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import Precision as FabricPrecision
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.optimization.automatic import ClosureResult
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from pytorch_lightning.loops.utilities import _block_parallel_sync_behavior
from pytorch_lightning.plugins import Precision
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.trainer.call import _call_lightning_module_hook
from pytorch_lightning.utilities.model_helpers import is_overridden
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor
from torch.optim import Optimizer

from lightning_app.trainer.optimizer_step import step_with

AfterBatch = Callable[[pl.Trainer, Any, int, Tensor | None], bool | None]
"""``StepHooks.after_plain_batch``."""


class PlainSteps:
    """What is left of Lightning's steps where nobody has hooks: the same operations, in the same order.

    That is: fetch a batch, move it to the device, ``training_step``, zero the gradients, backward, clip, step of the
    optimizer, step of the schedule. Of Lightning's private parts it uses the counters and ``update_lr_schedulers`` of
    the loop, and the attributes by which ``self.log`` knows the batch and the hook. Valid for one epoch.

    Args:
        loop: The loop over the batches, when its epoch begins.
        after: Called after each batch, in this order.
    """

    def __init__(self, loop: _TrainingEpochLoop, after: Sequence[AfterBatch]) -> None:
        self._loop, self._trainer, self._after = loop, loop.trainer, after
        trainer, module = loop.trainer, loop.trainer.lightning_module
        self._module, self._optimizer = module, trainer.optimizers[0]
        self._accumulated: int = trainer.accumulate_grad_batches
        self._batch: Any = None
        self._batch_idx = 0
        self._loss: Tensor | None = None
        self._is_first = True  # of the batches whose gradients are accumulated
        self._training_step = _training_step(trainer)
        self._takes_index = is_param_in_hook_signature(module.training_step, "batch_idx", min_args=2)
        self._on_device = _transfer(trainer)
        self._step: Callable[[], Any] = lambda: None  # see run
        self._has_own_zero_grad = _has_own(self._optimizer, "zero_grad")
        self._backward = self._backward_of_module if is_overridden("backward", module) else Tensor.backward
        self._clips = bool(trainer.gradient_clip_val) or is_overridden("configure_gradient_clipping", module)
        schedules = [config for config in trainer.lr_scheduler_configs if config.interval == "step"]
        self._has_schedule = any(not config.reduce_on_plateau for config in schedules)

    def run(self, fetcher: _DataFetcher, batches: int) -> None:
        """Trains on this many batches, whose last one ends an optimizer step.

        It ends after an earlier optimizer step if one of the calls after a batch returns true, or if training is asked
        to stop.
        """
        trainer, module, results = self._trainer, self._module, self._loop._results
        connector = trainer._logger_connector
        module._current_fx_name = "training_step"
        # once an execution: a callback may add hooks to the optimizer in a step of Lightning's
        self._step = step_with(self._optimizer, self._compute_clipped_gradients)
        results.dataloader_idx = None
        ends = False
        try:
            for _ in range(batches):
                self._batch = results.batch = None  # its memory, which is in the cache, is that of the next batch
                self._batch = results.batch = self._on_device(next(fetcher)[0])
                results.batch_size = None
                connector._first_loop_iter = connector._first_loop_iter is None
                self._train()
                for after in self._after:
                    if after(trainer, self._batch, self._batch_idx, self._loss):
                        ends = True
                if self._is_first and (ends or trainer.should_stop):
                    break
        finally:
            self._batch = self._loss = results.batch = None
            module._current_fx_name = None

    def _train(self) -> None:
        loop = self._loop
        total: Any = loop.batch_progress.total
        current: Any = loop.batch_progress.current
        self._batch_idx = current.ready
        for counter in (total, current):
            counter.ready += 1
            counter.started += 1
        steps = current.ready % self._accumulated == 0
        if self._batch is None:
            self._skip((total, current))
        elif steps:
            progress = loop.automatic_optimization.optim_progress.optimizer.step
            progress.increment_ready()
            self._step()
            progress.increment_completed()
        else:
            with _block_parallel_sync_behavior(self._trainer.strategy):
                self._compute_gradients()
        for counter in (total, current):
            counter.processed += 1
        if steps and self._has_schedule:
            loop.update_lr_schedulers("step", update_plateau_schedulers=False)
        for counter in (total, current):
            counter.completed += 1
        loop._batches_that_stepped += steps
        self._is_first = steps

    def _skip(self, counters: Sequence[Any]) -> None:
        """A batch that is None, from a collate function that leaves out what can't be read, isn't trained on."""
        for counter in counters:
            counter.started -= 1
        self._loss = None
        self._loop._warning_cache.warn("train_dataloader yielded None. If this was on purpose, ignore this warning...")

    def _compute_gradients(self) -> Tensor | None:
        arguments = (self._batch, self._batch_idx) if self._takes_index else (self._batch,)
        output = self._training_step(*arguments)
        # Lightning's own class, which takes a mapping as well as None, costs a hundredth of a small step
        loss = output if isinstance(output, Tensor) else ClosureResult.from_training_step_output(output).closure_loss
        self._loss = loss
        if self._is_first:
            self._zero_gradients()
        if loss is None and self._trainer.world_size > 1:
            raise RuntimeError("training_step returned None, and the other processes wait for its gradients")
        if loss is not None:
            self._backward(loss if self._accumulated == 1 else loss / self._accumulated)
        return loss

    def _zero_gradients(self) -> None:
        counters: Any = self._loop.automatic_optimization.optim_progress.optimizer.zero_grad
        for counter in (counters.total, counters.current):
            counter.ready += 1
            counter.started += 1
            counter.completed += 1
        if self._has_own_zero_grad:
            self._optimizer.zero_grad()
            return
        for group in self._optimizer.param_groups:  # as in Optimizer.zero_grad, which takes four times as long
            for parameter in group["params"]:
                parameter.grad = None

    def _compute_clipped_gradients(self) -> Tensor | None:
        """The closure of the optimizer's step."""
        loss = self._compute_gradients()
        if self._clips:
            trainer = self._trainer
            _call_lightning_module_hook(
                trainer,
                "configure_gradient_clipping",
                self._optimizer,
                gradient_clip_val=trainer.gradient_clip_val,
                gradient_clip_algorithm=trainer.gradient_clip_algorithm,
            )
        return loss

    def _backward_of_module(self, loss: Tensor) -> None:
        _call_lightning_module_hook(self._trainer, "backward", loss)


def _has_own(optimizer: Optimizer, method: str) -> bool:
    return getattr(type(optimizer), method) is not getattr(Optimizer, method) or method in vars(optimizer)


def _training_step(trainer: pl.Trainer) -> Callable[..., Any]:
    """The strategy's, or the module's own where the strategy and the precision add nothing to it."""
    strategy, precision = trainer.strategy, trainer.precision_plugin
    adds_nothing = (
        type(strategy) is SingleDeviceStrategy
        and strategy.model is trainer.lightning_module
        and type(precision).train_step_context is Precision.train_step_context
        and type(precision).forward_context is FabricPrecision.forward_context
    )
    return trainer.lightning_module.training_step if adds_nothing else strategy.training_step


def _transfer(trainer: pl.Trainer) -> Callable[[Any], Any]:
    """What Lightning does with a batch from the loader; tensors that are on the device stay what they are."""
    hooks: Any = trainer._data_connector._datahook_selector
    device = trainer.strategy.root_device
    names = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
    owners = {name: hooks.get_instance(name) for name in names}
    before, move, after = (getattr(owners[name], name) for name in names)
    has_before, has_own_move, has_after = (is_overridden(name, owners[name]) for name in names)
    precision = trainer.precision_plugin
    converts = type(precision).convert_input is not FabricPrecision.convert_input

    def transfer(batch: Any) -> Any:
        if converts:
            batch = precision.convert_input(batch)
        if has_before:
            batch = before(batch, 0)
        if has_own_move or not _is_on(device, batch):
            batch = move(batch, device, 0)
        return after(batch, 0) if has_after else batch

    return transfer


def _is_on(device: torch.device, batch: Any) -> bool:
    if type(batch) not in (tuple, list):
        return False
    for part in batch:  # noqa: SIM110 a generator takes three times as long
        if type(part) is not Tensor or part.device != device:
            return False
    return True
