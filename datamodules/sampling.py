"""The order of the images, and random streams: all randomness of an epoch is a function of (seed, epoch, image)."""

import os
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DistributedSampler, SequentialSampler

# 2**64 over the golden ratio: neighbouring seeds, epochs and images get different streams
_SEED_SPREAD = 0x9E3779B97F4A7C15


def run_seed() -> int:
    """The seed of the run, which ``--seed`` passes to Lightning's ``seed_everything``."""
    return int(os.environ.get("PL_GLOBAL_SEED", 0))


def stream_seed(*keys: int) -> int:
    """One 63-bit seed from several whole numbers; their order matters."""
    mixed = 0
    for key in keys:
        mixed = ((mixed ^ key) * _SEED_SPREAD + 1) % 2**64
        mixed ^= mixed >> 29
    return mixed >> 1


def stream(*keys: int) -> torch.Generator:
    """A random stream on the CPU that depends only on the keys."""
    return torch.Generator().manual_seed(stream_seed(*keys))


class EpochSampler(DistributedSampler[Any]):
    """The share of one process in an epoch's order of images, which is a function of (seed, epoch).

    It is a ``DistributedSampler`` so that Lightning doesn't replace it under DDP. Training shares are padded to equal
    length, because each process must take part in each step; ``last_step`` returns what counts in the last step.
    Evaluation shares are not padded, so that every image counts once. Iterating yields ``(epoch, index)`` pairs: a
    worker process needs both to augment an image reproducibly.

    Args:
        size: Number of images in an epoch.
        shuffle: Whether the order is random.
        rank: The global rank of the process.
        world_size: The number of processes.
        padded: Whether this is for training, in shares of equal length; by default where the order is random.
    """

    def __init__(
        self, size: int, *, shuffle: bool, rank: int = 0, world_size: int = 1, padded: bool | None = None
    ) -> None:
        images: Any = range(size)  # only its length is used
        super().__init__(images, num_replicas=world_size, rank=rank, shuffle=shuffle, seed=run_seed())
        self.size = size
        self.padded = shuffle if padded is None else padded
        self.start = 0

    def seek(self, images: int) -> None:
        """Lets iterations of this epoch begin after that many of its images, counted over all processes."""
        self.start = images // self.num_replicas

    def set_epoch(self, epoch: int) -> None:
        super().set_epoch(epoch)
        self.start = 0

    def indices(self) -> Tensor:
        """Image indices of this process in this epoch, int64 of shape (len(self),)."""
        order = torch.arange(self.size)
        if self.shuffle:
            order = torch.randperm(self.size, generator=stream(self.seed, self.epoch))
        padding = -self.size % self.num_replicas
        if padding and self.padded:
            order = torch.cat([order, order.repeat(-(-padding // self.size))[:padding]])
        return order[self.rank :: self.num_replicas]

    def last_step(self, batch_size: int) -> tuple[int, int]:
        """Number of images in an epoch's last training step, without repeats: of this process, and of all processes.

        Repeats are at the end of a share. If there are none, all processes have the same number of images.
        """
        earlier = (len(self) - 1) // batch_size * batch_size
        repeats = int(self.size % self.num_replicas != 0 and self.rank >= self.size % self.num_replicas)
        return len(self) - earlier - repeats, self.size - earlier * self.num_replicas

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(self.epoch, index) for index in self.indices()[self.start :].tolist()])

    def __len__(self) -> int:
        return (self.size + (self.num_replicas - 1 if self.padded else self.num_replicas - 1 - self.rank)) // (
            self.num_replicas
        )


class SequentialEpochSampler(EpochSampler, SequentialSampler):  # type: ignore[misc]  # both are Samplers of anything
    """An ``EpochSampler`` that doesn't shuffle. Lightning recognises it, and leaves it as it is.

    With ``Trainer(overfit_batches=...)`` it replaces every other sampler by one of its own, whose items are indices
    without an epoch.
    """

    def __init__(self, size: int, *, rank: int = 0, world_size: int = 1, padded: bool = False) -> None:
        EpochSampler.__init__(self, size, shuffle=False, rank=rank, world_size=world_size, padded=padded)


def epoch_sampler(size: int, trainer: pl.Trainer | None, *, training: bool = False) -> EpochSampler:
    """The sampler of this process for training or evaluation.

    Training is in random order, except with ``overfit_batches``, where each epoch has the same batches.
    """
    rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
    if training and not getattr(trainer, "overfit_batches", 0):
        return EpochSampler(size, shuffle=True, rank=rank, world_size=world_size)
    return SequentialEpochSampler(size, rank=rank, world_size=world_size, padded=training)
