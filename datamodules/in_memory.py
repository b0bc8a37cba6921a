"""Small images that are kept in memory as bytes and become whole batches on the training device."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from datamodules.sampling import EpochSampler, stream

Batch = tuple[Tensor, Tensor]
"""Images, float32 (B, 3, H, W), normalised; labels, int64 (B,)."""

Transform = Callable[[Tensor, Tensor, int], Tensor]
"""From images uint8 (B, H, W, 3), their indices int64 (B,) and the epoch to images uint8 of the same shape."""

_IMAGES_AT_A_TIME = 256  # that are selected and normalised together: for a few, the calls take longer than the work
_AUGMENT_STREAM = 1  # separates the random numbers of the augmentation from those of the order


class InMemoryLoader:
    """Iterates over one epoch; a batch is selected, augmented and normalised in a few calls, without worker processes.

    With the channels last, a batch already has the memory format in which convolution and pooling are fastest (on a
    CPU: 7.2 instead of 8.4 ms for a step of 128 CIFAR images).

    Args:
        images: All images, uint8 (N, H, W, 3), on the device on which the batches are needed.
        labels: Their labels, int64 (N,), on the same device.
        batch_size: Images per batch; the last batch has the remaining ones.
        sampler: The order of the images.
        mean: Mean of every channel, on a scale from 0 to 1.
        std: Standard deviation of every channel, on the same scale.
        transform: Augments a batch.
    """

    batch_sampler = None  # Lightning reads this attribute to find out whether a loader shuffles

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        batch_size: int,
        sampler: EpochSampler,
        mean: float,
        std: float,
        transform: Transform | None = None,
    ) -> None:
        self.images, self.labels = images, labels
        self.batch_size = batch_size
        self.sampler = sampler  # Lightning calls its method set_epoch
        self.transform = transform
        self.mean, self.std = mean, std
        self._scale = 1 / (255 * std)
        self._shift = torch.tensor(-mean / std, device=images.device)

    @property
    def dataset(self) -> Tensor:
        """All images; Lightning's BatchSizeFinder stops at their number."""
        return self.images

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        order = self.sampler.indices().to(self.images.device)
        count = self.batch_size * max(1, _IMAGES_AT_A_TIME // self.batch_size)
        for start in range(self.sampler.start, len(order), count):
            yield from self._batches(order[start : start + count])

    def _batches(self, indices: Tensor) -> Iterator[Batch]:
        """A generator of its own, whose images are gone when it has ended: the next ones take the same memory."""
        images = torch.split(self.images_of(indices, self.sampler.epoch), self.batch_size)
        labels = torch.split(self.labels.index_select(0, indices), self.batch_size)
        yield from zip(images, labels, strict=True)

    def evaluated_bytes(self, count: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For ``count`` images at a time: uint8 (B, 3, H, W), the same images as in a batch, and their labels."""
        for indices in torch.split(torch.arange(len(self.images), device=self.images.device), count):
            chosen = self.images.index_select(0, indices)
            yield chosen.permute(0, 3, 1, 2), self._normalise(chosen), self.labels.index_select(0, indices)

    def images_of(self, indices: Tensor, epoch: int) -> Tensor:
        """Images of an epoch, float32 (B, 3, H, W), of numbers int64 (B,)."""
        images = self.images.index_select(0, indices)
        if self.transform is not None:
            images = self.transform(images, indices, epoch)
        return self._normalise(images)

    def _normalise(self, images: Tensor) -> Tensor:
        floats = images.permute(0, 3, 1, 2).to(torch.float32)
        return torch.add(self._shift, floats, alpha=self._scale, out=floats)  # of bytes it would make another copy


class ShiftAndFlip:
    """CIFAR's usual augmentation: a shift of up to ``margin`` pixels, with black borders, and a random flip.

    The shift and the flip of an image are a function of (seed, epoch, image).

    Args:
        count: Number of images in the data set.
        seed: The seed of the run.
        margin: Largest shift, in pixels.
    """

    def __init__(self, count: int, seed: int, margin: int = 4) -> None:
        self.count, self.seed, self.margin = count, seed, margin
        self._epoch: int | None = None
        self._draws = torch.empty(0)

    def __call__(self, images: Tensor, indices: Tensor, epoch: int) -> Tensor:
        size, device = images.shape[1], images.device
        shift_y, shift_x, flip = self._shifts_and_flips(epoch, device)[indices].unbind(1)
        line = torch.arange(size, device=device)
        rows = line + shift_y[:, None]
        columns = torch.where(flip[:, None] == 1, size - 1 - line, line) + shift_x[:, None]
        visible = self._inside(rows, size)[:, :, None] & self._inside(columns, size)[:, None, :]
        batch = torch.arange(len(images), device=device)[:, None, None]
        moved = images[batch, rows.clamp(0, size - 1)[:, :, None], columns.clamp(0, size - 1)[:, None, :]]
        return moved * visible[..., None]

    def _shifts_and_flips(self, epoch: int, device: torch.device) -> Tensor:
        if self._epoch != epoch:
            random = stream(self.seed, epoch, _AUGMENT_STREAM)
            shifts = torch.randint(-self.margin, self.margin + 1, (self.count, 2), generator=random)
            flips = torch.randint(0, 2, (self.count, 1), generator=random)
            self._draws, self._epoch = torch.cat([shifts, flips], dim=1).to(device), epoch
        return self._draws

    @staticmethod
    def _inside(positions: Tensor, size: int) -> Tensor:
        return (positions >= 0) & (positions < size)
