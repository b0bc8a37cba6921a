"""A loader that knows what others keep of its batches."""

import weakref
from typing import Any, ClassVar

from torch import Tensor

from datamodules import CIFAR10DataModule
from datamodules.in_memory import InMemoryLoader


class WatchedLoader(InMemoryLoader):
    """Knows which images of earlier batches are still in memory whenever it makes new ones."""

    def __init__(self, left: list[int], *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.left, self.made = left, list[weakref.ref[Tensor]]()

    def images_of(self, indices: Tensor, epoch: int) -> Tensor:
        self.left.append(sum(each() is not None for each in self.made))
        images = super().images_of(indices, epoch)
        self.made.append(weakref.ref(images))
        return images


class WatchedData(CIFAR10DataModule):
    """Its training has a ``WatchedLoader``."""

    left: ClassVar[list[int]] = []

    def train_dataloader(self) -> WatchedLoader:
        found: Any = super().train_dataloader()
        type(self).left.clear()
        return WatchedLoader(
            self.left, found.images, found.labels, batch_size=found.batch_size, sampler=found.sampler, mean=found.mean,
            std=found.std,
        )  # fmt: skip
