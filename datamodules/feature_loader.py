"""Batches of features in place of images: what a frozen backbone makes of an image is computed once."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.feature_table import FeatureTable, open_table
from datamodules.image_files import ImageFiles
from datamodules.in_memory import InMemoryLoader
from datamodules.sampling import EpochSampler

_VERSION = 1  # raise it when the same key would stand for other features
_THREADS = 16  # they wait for the disk or the mount


class Backbone(Protocol):
    """From images to features, and what they depend on."""

    @property
    def width(self) -> int:
        """Features of an image."""

    @property
    def dtype(self) -> torch.dtype:
        """Their type."""

    @property
    def at_once(self) -> int:
        """Number of images from which on a batch isn't enlarged."""

    @property
    def key(self) -> str | None:
        """Names the weights, the device, and all else on which features depend; None if there are none to compute."""

    def features(self, images: Tensor) -> Tensor:
        """From images as the loader yields them (B, ...) to features (B, width)."""

    def pictures(self, images: Tensor) -> Tensor:
        """From images as the loader yields them to images as the network gets them, float32 (B, 3, H, W)."""


class FeatureLoader:
    """Iterates over the batches of another loader, with features (B, width) in place of images.

    Features that aren't there yet are computed when their batch is next, from the images of this batch, so that they
    are bit by bit those that the network would compute in this step. With augmentation, epoch ``e`` has view
    ``e % views`` of each image, which is that of the epoch with this number: nothing is different in the first
    ``views`` epochs.

    Args:
        loader: Of this project; see ``supports``.
        backbone: Computes the features.
        views: Views of an image; 1 where images aren't augmented.
    """

    batch_sampler = None  # Lightning reads this attribute to find out whether a loader shuffles

    def __init__(self, loader: Any, backbone: Backbone, views: int) -> None:
        self.batch_size: int = loader.batch_size
        self.sampler: EpochSampler = loader.sampler  # Lightning calls its method set_epoch
        self.dataset = loader.dataset
        self._loader, self._backbone = loader, backbone
        self._views = 1 if isinstance(loader, InMemoryLoader) and loader.transform is None else views
        self._labels = torch.as_tensor(loader.labels if isinstance(loader, InMemoryLoader) else self.dataset.labels)
        self._data_key: str | None = None
        self._tables: dict[tuple[str, int], FeatureTable | None] = {}

    @staticmethod
    def supports(loader: Any) -> bool:
        """Whether the images of a loader are a function of their number and the epoch, and have labels."""
        if isinstance(loader, DataLoader):
            files = loader.dataset
            return type(files) is ImageFiles and files.labels is not None and isinstance(loader.sampler, EpochSampler)
        return type(loader) is InMemoryLoader

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        key = self._backbone.key
        view = self.sampler.epoch % self._views
        table = None if key is None else self._table(key, view)
        if table is None:
            yield from self._loader
            return
        order = self.sampler.indices()[self.sampler.start :]
        batches = torch.split(order, self.batch_size)
        groups = joined([table.missing(batch) for batch in batches], self._backbone.at_once)
        computed = self._compute(table, view, groups)
        for batch in batches:
            while groups and len(table.missing(batch)):
                next(computed)
            yield table.rows(batch), self._labels[batch]

    def pictures(self, indices: Tensor) -> Tensor:
        """Images, float32 (B, 3, H, W), as the network would get them, of numbers int64 (B,)."""
        return torch.cat([self._backbone.pictures(images) for images in self._images(0, [indices])])

    def _compute(self, table: FeatureTable, view: int, groups: Sequence[Tensor]) -> Iterator[None]:
        for group, images in zip(groups, self._images(view, groups), strict=True):
            table.put(group, self._backbone.features(images))
            yield

    def _images(self, view: int, groups: Sequence[Tensor]) -> Iterable[Tensor]:
        """The images of each group, as the loader yields them."""
        if isinstance(self._loader, InMemoryLoader):
            return (self._loader.images_of(group.to(self._loader.images.device), view) for group in groups)
        keys = [[(view, index) for index in group.tolist()] for group in groups]
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_sampler=keys,
            collate_fn=self._loader.collate_fn,
            num_workers=min(self._loader.num_workers, max(0, len(groups) - 1)),
            generator=torch.Generator(),  # otherwise the iteration would draw from the random numbers of the training
            pin_memory=self._loader.pin_memory,
        )
        return (images for images, _ in loader)

    def _table(self, backbone_key: str, view: int) -> FeatureTable | None:
        if self._data_key is None:
            self._data_key = data_key(self._loader)
        text = f"{_VERSION} {backbone_key} {self._data_key} {self.batch_size}"
        key = hashlib.sha256(text.encode()).hexdigest()[:32]
        if (key, view) not in self._tables:
            count, width, dtype = len(self._labels), self._backbone.width, self._backbone.dtype
            self._tables[key, view] = open_table(key, view, count, width, dtype)
        return self._tables[key, view]


def joined(groups: Iterable[Tensor], at_least: int) -> list[Tensor]:
    """Adjacent groups of numbers as one, until it has ``at_least`` that many; without empty ones and repeats."""
    result: list[Tensor] = []
    seen: set[int] = set()
    for group in groups:
        new = [number for number in group.tolist() if number not in seen]
        seen.update(new)
        if new and result and len(result[-1]) < at_least:
            result[-1] = torch.cat([result[-1], torch.tensor(new)])
        elif new:
            result.append(torch.tensor(new))
    return result


def data_key(loader: Any) -> str:
    """Names the images and their augmentation; the same for the same images on this machine, in later runs too."""
    described: Any
    if isinstance(loader, InMemoryLoader):
        pixels = hashlib.sha256(loader.images.cpu().numpy().tobytes()).hexdigest()
        described = [pixels, loader.mean, loader.std, _described(loader.transform)]
    else:
        files: ImageFiles = loader.dataset
        # the last names only: a mount may have another path in the next run
        stats = [
            (path.parts[-3:], status.st_size, status.st_mtime_ns) for path in files.paths if (status := path.stat())
        ]
        described = [stats, files.seed, _described(files.view)]
    versions = [metadata.version(package) for package in ("torch", "torchvision", "pillow", "simplejpeg")]
    return hashlib.sha256(json.dumps([versions, described]).encode()).hexdigest()


def _described(augmentation: object) -> str:
    """An augmentation in words; of one that isn't of this project a unique number, which no other run has."""
    if augmentation is None:
        return ""
    if not type(augmentation).__module__.startswith(f"{__package__}."):
        return uuid.uuid4().hex
    settings = {name: value for name, value in sorted(vars(augmentation).items()) if not name.startswith("_")}
    return f"{type(augmentation).__name__} {settings}"
