"""Images in folders, one folder per class."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules import generated
from datamodules.errors import DataError
from datamodules.image_files import (
    CopyOf,
    ImageFiles,
    Workers,
    check,
    image_loader,
    in_precision,
    no_copy,
    normalise,
    unlabelled_images,
)
from datamodules.image_listing import Files, class_folders, list_files, readable_images, share_of
from datamodules.kept_images import KeptImages, default_bytes
from datamodules.preprocessing import Preprocessing
from datamodules.sampling import epoch_sampler
from datamodules.staging import StagedFiles, advice
from datamodules.validation import (
    MAX_BATCH_SIZE,
    MAX_IMAGE_SIZE,
    require,
    require_amount,
    require_batch_fits,
    require_shares,
    require_workers,
)
from datamodules.views import CentreCrop, RandomCrop, View

log = logging.getLogger(__name__)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as torchvision's weights expect
_EACH_EPOCH = ("train", "val")
_USES = {"train": "training", "val": "validation", "test": "testing"}


class ImageFolderDataModule(pl.LightningDataModule):
    """Reads ``train/``, ``val/`` and, if it exists, ``test/``, each with one folder per class.

    A batch is images, float32 (B, 3, image_size, image_size), normalised as for ImageNet, and labels, int64 (B,).
    Training images are cropped and flipped at random; the others are resized and cropped in the centre, as in the
    tutorial.

    Args:
        data_path: Folder that contains ``train`` and ``val``. Without it, images are generated on this machine.
            For ``predict``: any folder of images.
        batch_size: Images per step and process.
        image_size: Height and width of the network's input, in pixels.
        num_workers: Processes that decode images, or ``auto``, which suits the machine and what is kept in memory.
        skip_broken: Leave out unreadable image files instead of raising an error.
        cache_gb: Memory on each node, in GB, for decoded training and validation images; 0 keeps none. By default a
            quarter of the memory, and at most half of what is available.
        stage_dir: Folder on this node's disk to which ``fit`` copies the files before it reads them; for mounts that
            are slow with many files. Later runs use the copies again.

    Raises:
        DataError: A value is out of range, or the files at ``data_path`` can't be used.
    """

    def __init__(
        self,
        data_path: str | None = None,
        batch_size: int = 4,
        image_size: int = 224,
        num_workers: Workers = "auto",
        skip_broken: bool = False,
        cache_gb: float | None = None,
        stage_dir: str | None = None,
    ) -> None:
        super().__init__()
        require("--batch_size", batch_size, at_least=1, at_most=MAX_BATCH_SIZE)
        require("--data.image_size", image_size, at_least=1, at_most=MAX_IMAGE_SIZE)
        require_workers(num_workers)
        if cache_gb is not None:
            require_amount("--data.cache_gb", cache_gb)
        self.save_hyperparameters()
        self.data_path = None if data_path is None else Path(data_path)
        self.batch_size = batch_size
        self.image_size = image_size
        self.num_workers = num_workers
        self.skip_broken = skip_broken
        self.cache_gb = cache_gb
        self.stage_dir = None if stage_dir is None else Path(stage_dir)
        self._files: dict[str, ImageFiles] = {}
        self._staged: StagedFiles | None = None
        self._announced = False

    @property
    def classes(self) -> list[str]:
        """The names of the folders in ``train``, sorted, which is label order."""
        if self.data_path is None:
            return list(generated.FOLDER_CLASSES)
        return list(_class_folders(self.data_path, "train"))

    @property
    def class_counts(self) -> list[int]:
        """The training images of each class, after ``setup``."""
        labels = self._files["train"].labels or []
        return [labels.count(label) for label in range(len(self.classes))]

    @property
    def preprocessing(self) -> Preprocessing:
        """How image files become the input of a network, as in ``predict``."""
        return Preprocessing(self.image_size, "centre_crop", IMAGENET_MEAN, IMAGENET_STD)

    @property
    def predicted_paths(self) -> list[Path]:
        """The files that ``predict`` labels, in the order of their indices."""
        return self._files["predict"].paths

    @property
    def unreadable_paths(self) -> dict[Path, str]:
        """The files that ``predict`` can't read, with the reason; only with ``skip_broken``."""
        return self._files["predict"].broken

    def prepare_data(self) -> None:
        """Generates the default images, or verifies what ``stage_dir`` has already, once per node."""
        if self.data_path is None:
            generated.image_folder()
        elif self.stage_dir is not None and self.trainer is not None and self.trainer.state.fn == "fit":
            self._staged = StagedFiles(self.data_path, self.stage_dir)
            self._staged.prepare()

    def setup(self, stage: str) -> None:
        """Lists and checks the files of the splits that the stage needs; copies them first, to ``stage_dir``."""
        if stage == "predict":
            self._files["predict"] = unlabelled_images(
                self.data_path, self.preprocessing.view, self.skip_broken, self.trainer
            )
            self._check_counts({"prediction": len(self._files["predict"])})
            return
        root = self.data_path or generated.image_folder()
        self._read(root, [split for split in _splits(root, stage) if split not in self._files], stage)
        counts = {_USES[split]: len(self._files[split]) for split in _splits(root, stage)}
        self._check_counts(counts)
        if self.data_path is None and counts and not self._announced:
            generated.announce(counts)
            self._announced = True

    def _check_counts(self, counts: Mapping[str, int]) -> None:
        require_batch_fits(self.batch_size, self.image_size, max(counts.values(), default=0))
        require_shares(self.trainer, counts)

    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader("train", training=True)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Any] | list[Any]:
        return self._loader("test") if "test" in self._files else []

    def predict_dataloader(self) -> DataLoader[Any]:
        return self._loader("predict")

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Normalises uint8 images to float32, on the device; features that take their place stay as they are."""
        images, labels = batch
        if images.dtype != torch.uint8:
            return batch
        return in_precision(normalise(images, IMAGENET_MEAN, IMAGENET_STD), self.trainer), labels

    def _read(self, root: Path, splits: Sequence[str], stage: str) -> None:
        listed = {split: self._list(root, split) for split in splits}
        files = [files for by_class in listed.values() for files in by_class]
        every = Files([p for f in files for p in f.images], {p: why for f in files for p, why in f.broken.items()})
        split_of = {path: split for split, by_class in listed.items() for f in by_class for path in f.images}
        # what is read once needs no memory
        kept = KeptImages(self._cache_bytes() if stage == "fit" and splits else 0)
        copy_of, copying = self._copies(root, stage, every.images)

        def checked(path: Path) -> str | None:
            split = split_of[path]
            return check(path, self._view(split), kept if split in _EACH_EPOCH else None, copy_of(path))

        with copying:
            readable = readable_images(every, skip_broken=self.skip_broken, trainer=self.trainer, check=checked)
        kept.share(self.trainer)
        for split, by_class in listed.items():
            self._files[split] = self._labelled(root / split, by_class, readable, kept, copy_of)
        self._say_what_is_kept(kept)

    def _copies(self, root: Path, stage: str, paths: Sequence[Path]) -> tuple[CopyOf, AbstractContextManager[None]]:
        """From a file to its copy, and what copies files while it is entered."""
        if stage == "fit" and self.data_path is not None and self.stage_dir is not None:
            staged = self._staged or StagedFiles(root, self.stage_dir)
            own = share_of(paths, self.trainer)
            return staged, staged.copying(own, self.trainer.num_devices if self.trainer else 1)
        is_first = self.trainer is None or self.trainer.global_rank == 0
        if stage == "fit" and self.data_path is not None and is_first and (line := advice(paths)):
            log.info(line)
        return no_copy, nullcontext()

    def _list(self, root: Path, split: str) -> list[Files]:
        """The files of each class, in label order."""
        folders, expected = _class_folders(root, split), self.classes
        if list(folders) != expected:
            raise DataError(
                f"--data_path {str(root)!r}: expected the same classes in 'train' and {split!r}; "
                f"only in train: {_listed(set(expected) - set(folders))}; "
                f"only in {split}: {_listed(set(folders) - set(expected))}"
            )
        return [_together(list_files(folder) for folder in same) for same in folders.values()]

    def _labelled(
        self, split: Path, by_class: Sequence[Files], readable: set[Path], kept: KeptImages, copy_of: CopyOf
    ) -> ImageFiles:
        paths, labels = [], []
        for label, files in enumerate(by_class):
            images = [path for path in files.images if path in readable]
            if not images:
                raise DataError(
                    f"--data_path: {str(split / self.classes[label])!r} holds no image; each class needs one"
                )
            paths += images
            labels += [label] * len(images)
        return ImageFiles(paths, self._view(split.name), labels, kept, copy_of)

    def _view(self, split: str) -> View:
        return RandomCrop(self.image_size) if split == "train" else CentreCrop(self.image_size)

    def _cache_bytes(self) -> int:
        """The share of this process in the memory of its node."""
        whole = default_bytes() if self.cache_gb is None else int(self.cache_gb * 2**30)
        return whole // (self.trainer.num_devices if self.trainer else 1)

    def _say_what_is_kept(self, kept: KeptImages) -> None:
        used = [files for split, files in self._files.items() if split in _EACH_EPOCH]
        count = sum(len(files) for files in used)
        missing = sum(path not in kept for files in used for path in files.paths)
        if kept.capacity and missing:
            log.info(
                "%s of %s images fit into memory (--data.cache_gb); the others are decoded in each epoch.",
                f"{count - missing:,}",
                f"{count:,}",
            )

    def _loader(self, split: str, training: bool = False) -> DataLoader[Any]:
        files = self._files[split]
        sampler = epoch_sampler(len(files), self.trainer, training=training)
        return image_loader(files, sampler, self.batch_size, self.num_workers, self.trainer)


def _splits(root: Path, stage: str) -> Sequence[str]:
    test = ["test"] if (root / "test").is_dir() else []
    return {"fit": ["train", "val", *test], "validate": ["val"], "test": test}[stage]


def _class_folders(root: Path, split: str) -> dict[str, list[Path]]:
    try:
        content = sorted(entry.name for entry in root.iterdir())
        if split not in content or not (root / split).is_dir():
            raise DataError(
                f"--data_path {str(root)!r}: expected the folders 'train' and 'val' in it; found {_listed(content)}"
            )
        folders = class_folders(root / split)
    except OSError as error:
        raise DataError(f"--data_path {str(root)!r}: can't be read ({error.strerror}); give a folder") from error
    if not folders:
        raise DataError(f"--data_path: {str(root / split)!r} holds no classes; expected one folder per class in it")
    return folders


def _together(parts: Iterable[Files]) -> Files:
    together = Files()
    for files in parts:
        together.images += files.images
        together.broken |= files.broken
    return together


def _listed(names: Sequence[str] | set[str]) -> str:
    shown = [repr(name) for name in sorted(names)]
    return ", ".join(shown[:6]) + (", ..." if len(shown) > 6 else "") if shown else "nothing"
