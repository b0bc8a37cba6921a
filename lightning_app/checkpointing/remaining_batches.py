"""The batches of an epoch that are left: a loader begins after those that are done, without reading them."""

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.types import _Stateful
from torch.utils.data import DataLoader, IterableDataset

from lightning_app.checkpointing.position import images_per_step, loaders


def seek(loader: Any, batches: int) -> bool:
    """Lets the next iteration over a loader begin after this many batches, without reading them.

    Returns:
        Whether the loader can do that.
    """
    if size := images_per_step(loader):
        loader.sampler.seek(batches * size)
    elif isinstance(loader, DataLoader) and loader.batch_sampler is not None and not _is_iterable(loader):
        # the constructor forbids a new value afterwards
        vars(loader)["batch_sampler"] = _Remaining(loader.batch_sampler, batches % max(1, len(loader)))
    else:
        return isinstance(loader, _Stateful)  # Lightning has loaded its state
    return True


class _Remaining:
    """A batch sampler whose first iteration leaves out its first batches: it draws their indices and reads nothing."""

    def __init__(self, batch_sampler: Any, batches: int) -> None:
        self._batch_sampler, self._batches = batch_sampler, batches
        self._remaining: Iterator[Any] = iter(())

    def __iter__(self) -> Iterator[Any]:
        self._remaining = iter(self._batch_sampler)
        return self._yield_remaining() if self._batches else self._remaining

    def skip(self) -> None:
        """Draws the indices of the first batches, if that hasn't happened yet."""
        while self._batches:
            self._batches -= 1
            next(self._remaining)

    def __len__(self) -> int:
        return len(self._batch_sampler)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch_sampler, name)

    def _yield_remaining(self) -> Iterator[Any]:
        self.skip()
        yield from self._remaining


def draw_indices(trainer: pl.Trainer) -> None:
    """A loader draws its order late, with the first batch; here this needs the random numbers of the epoch's start."""
    for loader in loaders(trainer):
        sampler = getattr(loader, "batch_sampler", None)
        if isinstance(sampler, _Remaining):
            sampler.skip()


def _is_iterable(loader: DataLoader[Any]) -> bool:
    return isinstance(loader.dataset, IterableDataset)
