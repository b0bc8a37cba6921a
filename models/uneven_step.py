"""The last step of an epoch on several processes, where some of them may have no new image."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class UnevenStep:
    """A training step in which some processes have a repeated image, which must not count.

    Args:
        batch_idx: The step's index in the epoch.
        counted: Number of images that count in this process's batch; they are the first ones.
        weight: Factor of their summed loss. With it, DDP's mean of the gradients over all processes is the mean over
            all images of the step.
    """

    batch_idx: int
    counted: int
    weight: float


def uneven_last_step(loader: Any, world_size: int) -> UnevenStep | None:
    """The last step of an epoch if processes have different numbers of images in it; None if not, or if unknown.

    It is unknown for a loader that isn't one of this project's.
    """
    last_step = getattr(getattr(loader, "sampler", None), "last_step", None)
    if last_step is None:
        return None
    own_count, total_count = last_step(loader.batch_size)
    if total_count % world_size == 0:
        return None
    return UnevenStep(len(loader) - 1, own_count, world_size / total_count)
