"""Image files of any size, which worker processes decode to uint8."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.image_decoding import decode
from datamodules.image_listing import image_paths
from datamodules.sampling import EpochSampler, run_seed, stream_seed
from datamodules.validation import DataError

ImageTransform = Callable[[Image.Image], Tensor]
"""From a decoded RGB image to uint8 (3, H, W); may use torch's random numbers."""

_MOST_ELONGATED = 4  # sides as 1 to 4; of longer images, only the middle can be in a crop of the centre


class ImageFiles(Dataset[tuple[Tensor, int]]):
    """Item ``(epoch, index)`` is an image, uint8 (3, H, W), and its label, or its index if there are no labels.

    The random numbers of the transform are a function of (seed, epoch, index), in any process and order.

    Args:
        paths: The files.
        transform: From a decoded image to a tensor.
        labels: A label for each file.

    Raises:
        DataError: An item's file has become unreadable since it was checked; the message names the file.
    """

    def __init__(self, paths: Sequence[Path], transform: ImageTransform, labels: Sequence[int] | None = None) -> None:
        self.paths, self.labels = list(paths), None if labels is None else list(labels)
        self.transform = transform
        self._seed = run_seed()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, index = key
        image = decode(self.paths[index])
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(stream_seed(self._seed, epoch, index))
            return self.transform(image), index if self.labels is None else self.labels[index]


def middle(image: Image.Image) -> Image.Image:
    """The middle of a very long image, whose shorter side couldn't be enlarged without filling the memory."""
    width, height = image.size
    longest = _MOST_ELONGATED * min(width, height)
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, width - left, height - top)) if left or top else image


def unlabelled_images(
    folder: Path | None, transform: ImageTransform, skip_broken: bool, trainer: pl.Trainer | None
) -> ImageFiles:
    """All images in a folder and its subfolders, without labels.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    if folder is None or not folder.is_dir():
        problem = "not given" if folder is None else f"{str(folder)!r} is not a folder"
        raise DataError(f"--data_path: {problem}; give predict a folder with images")
    paths = image_paths(folder, skip_broken=skip_broken, trainer=trainer)
    if not paths:
        raise DataError(f"--data_path {str(folder)!r}: no image in it or in its subfolders")
    return ImageFiles(paths, transform)


def image_loader(files: ImageFiles, sampler: EpochSampler, batch_size: int, num_workers: int) -> DataLoader[Any]:
    """Batches of uint8 (B, 3, H, W): a quarter of the bytes of float32 to transfer to the device."""
    return DataLoader(
        files,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        generator=torch.Generator(),  # otherwise each iteration would draw from the random numbers of the training
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def normalise(images: Tensor, mean: Iterable[float], std: Iterable[float]) -> Tensor:
    """From uint8 (B, 3, H, W) to float32 of the same shape, channels last in memory, on the same device."""
    scale = 1 / (255 * torch.tensor(list(std), device=images.device)).view(3, 1, 1)
    shift = (torch.tensor(list(mean)) / torch.tensor(list(std))).to(images.device).view(3, 1, 1)
    return images.to(torch.float32, memory_format=torch.channels_last).mul_(scale).sub_(shift)
