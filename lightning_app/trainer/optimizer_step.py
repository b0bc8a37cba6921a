"""An optimizer's step without what torch does around it, where that has no effect."""

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

Closure = Callable[[], Tensor | None]


def step_with(optimizer: Optimizer, closure: Closure) -> Callable[[], Any]:
    """The optimizer's step with the closure, for a loop that computes gradients: the same results, bit by bit.

    It leaves out what torch does for hooks and profilers, where there are no hooks, and what its fused SGD does for
    parameters of several devices and types. Valid until hooks, schedules or parameters are added.

    Args:
        optimizer: Any; one that torch doesn't know, or that something else has wrapped, is called as it is.
        closure: Computes the gradients, and returns the loss.
    """
    if not type(optimizer).__module__.startswith("torch.optim."):
        closure = torch.enable_grad()(closure)  # a user's optimizer may call it without gradients; torch's own don't
    step = _without_hooks(optimizer)
    if step is None:
        return lambda: optimizer.step(closure)  # type: ignore[arg-type]  # the closure may return None
    if type(optimizer) is SGD and all(map(_is_one_kernel, optimizer.param_groups)):
        return _FusedSGDStep(optimizer, closure, step)
    return lambda: step(closure)


def _without_hooks(optimizer: Optimizer) -> Callable[..., Any] | None:
    """The step inside of torch's wrapper for hooks and profilers, and of that with which a schedule notes the step.

    None where there are hooks, or other wrappers. ``__wrapped__`` is what functools.wraps leaves.
    """
    wrapper: Any = type(optimizer).step
    own_hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    if own_hooks or _global_optimizer_pre_hooks or _global_optimizer_post_hooks:
        return None
    if not getattr(wrapper, "hooked", False):
        return None
    if (noted := vars(optimizer).get("step")) is not None:
        is_of_schedule = getattr(noted, "_wrapped_by_lr_sched", False)
        if not is_of_schedule or getattr(noted, "__wrapped__", None) is not wrapper:
            return None
        optimizer._opt_called = True  # type: ignore[attr-defined]  # a schedule's warning looks at it
    return MethodType(wrapper.__wrapped__, optimizer)


def _is_one_kernel(group: dict[str, Any]) -> bool:
    return group["fused"] and len({(each.device, each.dtype) for each in group["params"]}) == 1


class _FusedSGDStep:
    """Calls the kernel that torch's own step calls, where there is nothing to prepare.

    torch sorts the tensors by device and type in each step, which takes 60 of the 1,700 microseconds of a step of
    CifarNet with 4 images, on one slow core. What needs more than the kernel is left to torch: momentum that has yet to
    be made, and sparse gradients, which it refuses.
    """

    def __init__(self, optimizer: SGD, closure: Closure, step: Callable[[], Any]) -> None:
        self._optimizer, self._closure, self._step = optimizer, closure, step

    def __call__(self) -> Tensor | None:
        loss = self._closure()
        groups = self._optimizer.param_groups
        tensors = [self._tensors(group) for group in groups]
        if None in tensors:
            self._step()
            return loss
        with torch.no_grad():
            for group, of_group in zip(groups, tensors, strict=True):
                _call_kernel(group, of_group)
        return loss

    def _tensors(self, group: dict[str, Any]) -> tuple[list[Tensor], list[Tensor], list[Tensor]] | None:
        """Parameters, gradients and momenta; None where torch has to prepare them."""
        parameters, gradients, momenta = [], [], []
        for parameter in group["params"]:
            if (gradient := parameter.grad) is None:
                continue
            if gradient.is_sparse:
                return None
            parameters.append(parameter)
            gradients.append(gradient)
        if group["momentum"]:
            state = self._optimizer.state
            momenta = [state[parameter].get("momentum_buffer") for parameter in parameters]
            if any(momentum is None for momentum in momenta):
                return None
        return parameters, gradients, momenta


def _call_kernel(group: dict[str, Any], tensors: Any) -> None:
    parameters, gradients, momenta = tensors
    if not parameters:
        return
    torch._fused_sgd_(
        parameters,
        gradients,
        momenta,
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        lr=group["lr"],
        dampening=group["dampening"],
        nesterov=group["nesterov"],
        maximize=group["maximize"],
        is_first_step=False,
    )
