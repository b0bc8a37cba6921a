"""Image files of any size, which become batches of uint8."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.errors import DataError
from datamodules.image_decoding import decode, unreadable_reason
from datamodules.image_listing import images_in
from datamodules.kept_images import KeptImages
from datamodules.sampling import EpochSampler, run_seed, stream
from datamodules.validation import cores
from datamodules.views import View

Workers = int | Literal["auto"]
"""Number of worker processes of a loader."""

CopyOf = Callable[[Path], Path | None]

_MOST_WORKERS, _WORKERS_ON_CPU = 8, 2


def no_copy(path: Path) -> None:
    """The ``CopyOf`` of files that haven't been copied."""


class ImageFiles(Dataset[tuple[Tensor, int]]):
    """Item ``(epoch, index)`` is an image, uint8 (3, H, W), and its label, or its index if there are no labels.

    The random numbers of the view are a function of (seed, epoch, index), in any process and order.

    Args:
        paths: The files.
        view: What the network sees of an image.
        labels: A label for each file.
        kept: Images that ``check`` has kept.
        copy_of: From a file to its copy on this node's disk, if there is one.
        broken: Files beside them that can't be read, with the reason.

    Raises:
        DataError: An item's file has become unreadable since it was checked; the message names the file.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        view: View,
        labels: Sequence[int] | None = None,
        kept: KeptImages | None = None,
        copy_of: CopyOf = no_copy,
        broken: Mapping[Path, str] | None = None,
    ) -> None:
        self.paths, self.labels = list(paths), None if labels is None else list(labels)
        self.broken = dict(broken or {})
        self.view = view
        self._kept, self._copy_of = kept or KeptImages(0), copy_of
        self.seed = run_seed()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int]:
        epoch, index = key
        path = self.paths[index]
        image = self._kept.get(path)
        if image is None:
            image = self.view.prepare(torch.from_numpy(decode(path, self.view.divisor, self._copy_of(path))))
        seen = self.view.finish(image, stream(self.seed, epoch, index))
        return seen.permute(2, 0, 1), index if self.labels is None else self.labels[index]

    @property
    def are_kept(self) -> bool:
        """Whether all images are in memory."""
        return all(path in self._kept for path in self.paths)


def check(path: Path, view: View, kept: KeptImages | None = None, copy: Path | None = None) -> str | None:
    """Why a file is no readable image, or None if it is one; its decoded image is then kept if there is room."""

    def keep(pixels: Any) -> None:
        image = view.prepare(torch.from_numpy(pixels))
        if kept is not None:
            kept.put(path, image)

    return unreadable_reason(path, view.divisor, copy, keep)


def unlabelled_images(folder: Path | None, view: View, skip_broken: bool, trainer: pl.Trainer | None) -> ImageFiles:
    """All images in a folder and its subfolders, without labels.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    if folder is None or not folder.is_dir():
        problem = "not given" if folder is None else f"{str(folder)!r} is not a folder"
        raise DataError(f"--data_path: {problem}; give predict a folder with images")
    files = images_in(folder, skip_broken=skip_broken, trainer=trainer, check=lambda path: check(path, view))
    if not files.images:
        raise DataError(f"--data_path {str(folder)!r}: no image in it or in its subfolders")
    return ImageFiles(files.images, view, broken=files.broken)


def image_loader(
    files: ImageFiles, sampler: EpochSampler, batch_size: int, workers: Workers, trainer: pl.Trainer | None
) -> DataLoader[Any]:
    """Batches of uint8 (B, 3, H, W): a quarter of the bytes of float32 to transfer to the device."""
    num_workers = suitable_workers(files, trainer) if workers == "auto" else workers
    return DataLoader(
        files,
        batch_size=batch_size,
        sampler=sampler,
        collate_fn=_batch,
        num_workers=num_workers,
        generator=torch.Generator(),  # otherwise each iteration would draw from the random numbers of the training
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def suitable_workers(files: ImageFiles, trainer: pl.Trainer | None) -> int:
    """Worker processes of one loader, where the user leaves their number to the program.

    A GPU leaves the processors to them, except one. Training on the processors needs these itself: for images that are
    in memory, worker processes would cost more than they do.
    """
    own = cores() // (trainer.num_devices if trainer else 1)
    if trainer and trainer.strategy.root_device.type != "cpu":
        return max(1, min(own - 1, _MOST_WORKERS))
    return 0 if files.are_kept else min(own, _WORKERS_ON_CPU)


def _batch(items: Sequence[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
    # the channels stay last in memory, as they are in the files and as convolutions like them
    images = torch.stack([image.permute(1, 2, 0) for image, _ in items]).permute(0, 3, 1, 2)
    return images, torch.tensor([label for _, label in items])


def normalise(images: Tensor, mean: Iterable[float], std: Iterable[float]) -> Tensor:
    """From uint8 (B, 3, H, W) to float32 of the same shape, channels last in memory, on the same device."""
    scale = 1 / (255 * torch.tensor(list(std), device=images.device)).view(3, 1, 1)
    shift = (torch.tensor(list(mean)) / torch.tensor(list(std))).to(images.device).view(3, 1, 1)
    return images.to(torch.float32, memory_format=torch.channels_last).mul_(scale).sub_(shift)


def in_precision(images: Tensor, trainer: pl.Trainer | None) -> Tensor:
    """In the type of ``--trainer.precision``: Lightning has converted the batch when its images were still bytes."""
    converted: Tensor = images if trainer is None else trainer.precision_plugin.convert_input(images)
    return converted
