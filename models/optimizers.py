"""The optimizer of the image classifiers, and the schedule of its learning rate."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch.nn import Parameter

from models.errors import ModelError

Schedule = Literal["constant", "one_cycle"]

_MOST_COPIED = 2**16  # see _is_copied; more of them take longer to copy than the fused kernel saves
_FUSED_ON = ("cpu", "cuda")  # the devices on which every supported version of torch has SGD as one kernel
_WARM_UP = 0.2  # of all steps: the part in which one_cycle raises the learning rate


def sgd(
    parameters: Sequence[Parameter] | Sequence[dict[str, Any]],
    learning_rate: float,
    momentum: float,
    trainer: pl.Trainer | None,
    **options: Any,
) -> torch.optim.SGD:
    """SGD, as one fused kernel where it can be used: 1.13 instead of 1.22 ms for a step of CifarNet.

    Args:
        parameters: All trained parameters, or groups of them.
        learning_rate: Learning rate, where a group has none of its own.
        momentum: Momentum, from 0 to below 1.
        trainer: The Trainer; None outside of one.
        options: Of ``torch.optim.SGD``, such as ``weight_decay``.
    """
    every = [p for group in parameters for p in (group["params"] if isinstance(group, dict) else [group])]
    fused = may_fuse(every, trainer)
    return torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum, fused=fused, **options)


def scheduled(
    optimizer: torch.optim.Optimizer, schedule: Schedule, trainer: pl.Trainer
) -> torch.optim.Optimizer | OptimizerLRSchedulerConfig:
    """What ``configure_optimizers`` returns for an optimizer and the schedule of its learning rate.

    Raises:
        ModelError: The schedule needs the number of steps, which nothing limits.
    """
    if schedule == "constant":
        return optimizer
    steps = trainer.estimated_stepping_batches
    if not math.isfinite(steps) or steps < 1:
        raise ModelError("--model.schedule one_cycle: needs the number of steps; give --num_epochs")
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": one_cycle(optimizer, int(steps)), "interval": "step"}}


def one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Raises the learning rate to the optimizer's own in the first fifth of the steps, then lowers it to 0, linearly.

    After Smith and Topin, "Super-Convergence" (2018). torch's ``OneCycleLR`` keeps the number of steps in its state, so
    that a run that is continued with more epochs would end with an error.
    """
    return torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_one_cycle_factor, steps=steps))


def _one_cycle_factor(step: int, steps: int) -> float:
    warm_up = max(1, round(_WARM_UP * steps))
    # of the step to come: neither the first nor the last one has a rate of 0
    return min((step + 1) / (warm_up + 1), max(0.0, (steps - step) / max(1, steps - warm_up)))


def may_fuse(parameters: Sequence[Parameter], trainer: pl.Trainer | None) -> bool:
    """Whether one kernel can update the parameters, and is faster than one for each parameter. Both compute the same.

    A fused optimizer divides gradients by the loss scale of mixed precision itself, after Lightning clips them; so
    Lightning refuses to clip, for the flag and for a module or callback that does it.
    """
    mixed = trainer is not None and isinstance(trainer.precision_plugin, MixedPrecision)
    copied = sum(parameter.numel() for parameter in parameters if _is_copied(parameter))
    return not mixed and all(each.device.type in _FUSED_ON for each in parameters) and copied <= _MOST_COPIED


def _is_copied(parameter: Parameter) -> bool:
    """On the CPU the fused kernel copies what isn't contiguous, as weights with the channels last, four times a step.

    For the 11 million weights of a ResNet-18 with one thread, it takes 11.7 ms, and the usual kernels take 6.3 ms.
    """
    return parameter.device.type == "cpu" and not parameter.is_contiguous()
