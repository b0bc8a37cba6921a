"""The last step of an epoch, where the images don't go into the processes without a remainder."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class UnevenStep:
    """Some processes have an image less than the others, and in its place a repeated one that must not count.

    Args:
        batch_idx: The step's number in the epoch.
        counted: How many images of this process's batch count, which are the first ones.
        weight: The loss is the sum over them times this; then the mean over all processes, which DDP makes of the
            gradients, is the mean over all images of the step.
    """

    batch_idx: int
    counted: int
    weight: float


def uneven_last_step(loader: Any, world_size: int) -> UnevenStep | None:
    """None where each process has an equal part of the last step, or where the loader is none of this project's."""
    last_step = getattr(getattr(loader, "sampler", None), "last_step", None)
    if last_step is None:
        return None
    here, everywhere = last_step(loader.batch_size)
    if everywhere % world_size == 0:
        return None
    return UnevenStep(len(loader) - 1, here, world_size / everywhere)
