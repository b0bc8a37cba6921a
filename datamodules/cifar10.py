"""CIFAR-10, or other images in the same file layout, kept in memory."""

import logging
import shutil
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10

from datamodules import cifar10_files, generated
from datamodules.cifar10_files import LabelledImages
from datamodules.errors import DataError
from datamodules.image_files import ImageFiles, Workers, image_loader, in_precision, normalise, unlabelled_images
from datamodules.in_memory import InMemoryLoader, ShiftAndFlip
from datamodules.node_memory import read_once_per_node
from datamodules.preprocessing import Preprocessing
from datamodules.sampling import epoch_sampler, run_seed, stream
from datamodules.validation import MAX_BATCH_SIZE, require, require_shares, require_workers, shown

log = logging.getLogger(__name__)

MEAN, STD = 0.5, 0.5  # of every channel, as in the tutorials
TRAINING, VALIDATION, TESTING = "training", "validation", "testing"
_COUNTED = {
    "fit": (TRAINING, VALIDATION, TESTING),
    "validate": (VALIDATION,),
    "test": (TESTING,),
}
_FILES = {  # for fit, a damaged test file is reported before the training, not after it
    "fit": (TRAINING, TESTING),
    "validate": (TRAINING,),
    "test": (TESTING,),
}
_SPLIT_STREAM = 2  # separates the choice of validation images from the order of the epochs


class CIFAR10DataModule(pl.LightningDataModule):
    """Reads CIFAR-10's official files; a batch is images, float32 (B, 3, 32, 32), and labels, int64 (B,).

    Validation images are taken from the training files, so that the test file chooses nothing.

    Args:
        data_path: Folder that contains ``cifar-10-batches-py``. Without it, images are generated on this machine.
            For ``predict``: a folder of images of any size.
        batch_size: Images per step and process.
        val_split: Training images held out for validation and for choosing the best checkpoint.
        augment: Shift and flip the training images at random.
        num_workers: Processes that decode image files for ``predict``, or ``auto``, which suits the machine. CIFAR-10
            itself is in memory and needs none.
        download: Download the official archive to ``data_path`` if it isn't there.
        skip_broken: Leave out unreadable image files (``predict``) instead of raising an error.

    Raises:
        DataError: A value is out of range, or the files at ``data_path`` can't be used.
    """

    image_size = 32
    """Height and width of the images, in pixels."""

    def __init__(
        self,
        data_path: str | None = None,
        batch_size: int = 4,
        val_split: int = 0,
        augment: bool = False,
        num_workers: Workers = "auto",
        download: bool = False,
        skip_broken: bool = False,
    ) -> None:
        super().__init__()
        require("--batch_size", batch_size, at_least=1, at_most=MAX_BATCH_SIZE)
        require("--data.val_split", val_split, at_least=0)
        require_workers(num_workers)
        if download and data_path is None:
            raise DataError("--download: no folder to download to; give --data_path as well")
        self.save_hyperparameters()
        self.data_path = None if data_path is None else Path(data_path)
        self.batch_size = batch_size
        self.val_split = val_split
        self.augment = augment
        self.num_workers = num_workers
        self.download = download
        self.skip_broken = skip_broken
        self._images: dict[str, LabelledImages] = {}  # by use
        self._predict: ImageFiles | None = None
        self._announced = False

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in label order."""
        if self.data_path is None:
            return list(generated.CIFAR10_CLASSES)
        if self.download:
            return list(cifar10_files.CIFAR10_CLASSES)
        return cifar10_files.read_classes(cifar10_files.find_folder(self.data_path))

    @property
    def class_counts(self) -> list[int]:
        """The training images of each class, after ``setup``."""
        return self._images[TRAINING].labels.bincount(minlength=len(self.classes)).tolist()

    @property
    def preprocessing(self) -> Preprocessing:
        """How image files become the input of a network, as in ``predict``."""
        return Preprocessing(self.image_size, "squeeze", (MEAN,) * 3, (STD,) * 3)

    @property
    def predicted_paths(self) -> list[Path]:
        """The files that ``predict`` labels, in the order of their indices."""
        assert self._predict is not None
        return self._predict.paths

    @property
    def unreadable_paths(self) -> dict[Path, str]:
        """The files that ``predict`` can't read, with the reason; only with ``skip_broken``."""
        assert self._predict is not None
        return self._predict.broken

    def prepare_data(self) -> None:
        """Generates or downloads the images, once per node."""
        if self.data_path is None:
            generated.cifar10_folder()
        elif self.download:
            _download(self.data_path)

    def setup(self, stage: str) -> None:
        """Reads the images that the stage needs into memory."""
        if stage == "predict":
            view = self.preprocessing.view
            self._predict = unlabelled_images(self.data_path, view, self.skip_broken, self.trainer)
            require_shares(self.trainer, {"prediction": len(self._predict)})
            return
        files = [use for use in _FILES[stage] if use not in self._images]
        if files:
            parts = read_once_per_node(lambda: self._read(files), self.trainer)
            read = {use: LabelledImages(parts[use, "images"], parts[use, "labels"]) for use, _ in parts}
            self._images |= read
        counts = {use: len(self._images[use]) for use in _COUNTED[stage] if use in self._images}
        require_shares(self.trainer, counts)
        if self.data_path is None and counts and not self._announced:
            generated.announce(counts)
            self._announced = True

    def train_dataloader(self) -> InMemoryLoader:
        images = self._images[TRAINING]
        transform = ShiftAndFlip(len(images), run_seed()) if self.augment else None
        return self._loader(images, training=True, transform=transform)

    def val_dataloader(self) -> InMemoryLoader | list[Any]:
        return self._loader(self._images[VALIDATION]) if VALIDATION in self._images else []

    def test_dataloader(self) -> InMemoryLoader | list[Any]:
        return self._loader(self._images[TESTING]) if TESTING in self._images else []

    def predict_dataloader(self) -> DataLoader[Any]:
        assert self._predict is not None
        sampler = epoch_sampler(len(self._predict), self.trainer)
        return image_loader(self._predict, sampler, self.batch_size, self.num_workers, self.trainer)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalises the images of ``predict``; all other batches are normalised already."""
        if self.trainer is None or not self.trainer.predicting:
            return batch
        images, indices = batch
        return in_precision(normalise(images, [MEAN] * 3, [STD] * 3), self.trainer), indices

    def _read(self, files: Collection[str]) -> dict[tuple[str, str], Tensor]:
        """The images and labels in the training files, in the test file or in both, by their use."""
        folder = cifar10_files.find_folder(self.data_path or generated.cifar10_folder())
        classes = len(self.classes)
        read: dict[str, LabelledImages] = {}
        if TRAINING in files:
            read |= self._split(cifar10_files.read_split(folder, train=True, classes=classes))
        if TESTING in files:
            read[TESTING] = cifar10_files.read_split(folder, train=False, classes=classes)
        return {(use, part): getattr(read[use], part) for use in read for part in ("images", "labels")}

    def _split(self, images: LabelledImages) -> dict[str, LabelledImages]:
        if self.val_split == 0:
            return {TRAINING: images}
        if self.val_split >= len(images):
            raise DataError(
                f"--data.val_split {shown(self.val_split)}: expected fewer than the {len(images)} training images"
            )
        order = torch.randperm(len(images), generator=stream(run_seed(), _SPLIT_STREAM))
        val, train = order[: self.val_split], order[self.val_split :]
        return {
            TRAINING: LabelledImages(images.images[train], images.labels[train]),
            VALIDATION: LabelledImages(images.images[val], images.labels[val]),
        }

    def _loader(self, data: LabelledImages, training: bool = False, transform: Any = None) -> InMemoryLoader:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return InMemoryLoader(
            data.images.to(device),
            data.labels.to(device),
            batch_size=self.batch_size,
            sampler=epoch_sampler(len(data), self.trainer, training=training),
            mean=MEAN,
            std=STD,
            transform=transform,
        )


def _download(data_path: Path) -> None:
    try:
        data_path.mkdir(parents=True, exist_ok=True)
        with generated.node_lock(data_path):  # another program on this node may download to it as well
            if not _is_complete(data_path):
                log.info("Downloading CIFAR-10 to %s.", data_path)
                _download_and_rename(data_path)
    except Exception as error:  # urllib, ssl, tarfile and torchvision raise errors of their own
        raise DataError(f"--download: could not download CIFAR-10 to {str(data_path)!r}: {error}") from error


def _is_complete(data_path: Path) -> bool:
    """Whether the batch files are there; torchvision's MD5 check would refuse files that were re-encoded."""
    try:
        cifar10_files.find_folder(data_path)
    except DataError:
        return False
    return True


def _download_and_rename(data_path: Path) -> None:
    """Downloads and unpacks to a folder beside the target and renames it, so that the target is always complete."""
    # one folder per node, because nodes may share a mount; hidden, so that no process reads it before it is complete
    unfinished = data_path / f".{cifar10_files.FOLDER}.{socket.gethostname()}"
    shutil.rmtree(unfinished, ignore_errors=True)  # left by a download that was killed
    try:
        CIFAR10(str(unfinished), train=True, download=True)
        (unfinished / cifar10_files.FOLDER).rename(data_path / cifar10_files.FOLDER)
    except OSError:
        if not _is_complete(data_path):  # otherwise another node has finished first
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
