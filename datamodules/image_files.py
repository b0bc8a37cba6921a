"""Image files of any size, which worker processes decode to uint8."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets.folder import IMG_EXTENSIONS

from datamodules.sampling import EpochSampler, run_seed, stream_seed
from datamodules.validation import DataError

ImageTransform = Callable[[Image.Image], Tensor]
"""From a decoded RGB image to uint8 (3, H, W); may use torch's random numbers."""

_IGNORED_NAMES = {"thumbs.db", "desktop.ini"}  # written by file managers; hidden files are ignored as well
_READERS = 16  # threads; on a mount, reading is mostly waiting
_ENDINGS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


class ImageFiles(Dataset[tuple[Tensor, int]]):
    """Item ``(epoch, index)`` is an image, uint8 (3, H, W), and its label, or its index if there are no labels.

    The random numbers of the transform are a function of (seed, epoch, index), in any process and order.

    Args:
        paths: The files.
        transform: From a decoded image to a tensor.
        labels: A label for each file.

    Raises:
        DataError: An item's file is damaged, which only decoding shows; the message names the file.
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


def decode(path: Path) -> Image.Image:
    """The image as RGB, rotated as its EXIF data says."""
    try:
        with Image.open(path) as image:
            # a camera stores the sensor's image, and the rotation separately
            return ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise broken_image(path, _reason(error)) from error


def broken_image(path: Path, reason: str) -> DataError:
    return DataError(
        f"--data_path: {str(path)!r} is not a readable image ({reason}); remove it, or give --data.skip_broken true to "
        "leave out such files"
    )


def image_paths(folder: Path, *, recursive: bool, skip_broken: bool) -> list[Path]:
    """The images of a folder in the order of their names; the start and the end of each file are checked.

    Raises:
        DataError: A file isn't a readable image, and ``skip_broken`` is false.
    """
    entries = folder.rglob("*") if recursive else folder.iterdir()
    paths = sorted(path for path in entries if _is_candidate(path.relative_to(folder)) and path.is_file())
    with ThreadPoolExecutor(_READERS) as readers:
        reasons = list(readers.map(unreadable_reason, paths))
    for path, reason in zip(paths, reasons, strict=True):
        if reason is not None and not skip_broken:
            raise broken_image(path, reason)
    return [path for path, reason in zip(paths, reasons, strict=True) if reason is None]


def unreadable_reason(path: Path) -> str | None:
    """Why a file is no complete image, or None if it is one; complete JPEG and PNG files aren't decoded."""
    if path.suffix.lower() not in IMG_EXTENSIONS:
        return f"its extension is none of {' '.join(IMG_EXTENSIONS)}"
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            ending = _ENDINGS.get(image.format or "")
            if ending is None or not _ends_with(path, ending):
                image.load()  # the file is truncated, or has data after the image: decoding shows which
    except Exception as error:  # the same errors as in decode
        return _reason(error)
    return None


def unlabelled_images(folder: Path | None, transform: ImageTransform, skip_broken: bool) -> ImageFiles:
    """All images in a folder and its subfolders, without labels.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    if folder is None or not folder.is_dir():
        problem = "not given" if folder is None else f"{str(folder)!r} is not a folder"
        raise DataError(f"--data_path: {problem}; give predict a folder with images")
    paths = image_paths(folder, recursive=True, skip_broken=skip_broken)
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
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def normalise(images: Tensor, mean: Iterable[float], std: Iterable[float]) -> Tensor:
    """From uint8 (B, 3, H, W) to float32 of the same shape, channels last in memory, on the same device."""
    scale = 1 / (255 * torch.tensor(list(std), device=images.device)).view(3, 1, 1)
    shift = (torch.tensor(list(mean)) / torch.tensor(list(std))).to(images.device).view(3, 1, 1)
    return images.to(torch.float32, memory_format=torch.channels_last).mul_(scale).sub_(shift)


def _is_candidate(path: Path) -> bool:
    return not any(part.startswith(".") for part in path.parts) and path.name.lower() not in _IGNORED_NAMES


def _ends_with(path: Path, ending: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(ending)))
        return file.read() == ending


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its image format is not recognised"
    return str(error) or type(error).__name__
