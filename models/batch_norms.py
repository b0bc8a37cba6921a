"""Batch norms where torch can't compute them: over one value per channel."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def running_statistics_for_single_values(network: nn.Module) -> Iterator[list[nn.Module]]:
    """In this context, a batch norm in training that gets one value per channel uses its running statistics.

    There is no variance in one value, so that torch raises an error. It happens with one image and a feature map of
    one pixel: in the last step of an epoch, where the number of images leaves a remainder of one.
    The list that is yielded has these batch norms.
    """
    single: list[nn.Module] = []

    def evaluate_single_value(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        features: Tensor = inputs[0]
        if features.numel() == features.shape[1]:
            norm.training = False
            single.append(norm)

    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.training]
    hooks = [norm.register_forward_pre_hook(evaluate_single_value) for norm in norms]
    try:
        yield single
    finally:
        for hook in hooks:
            hook.remove()
        for norm in norms:
            norm.training = True
