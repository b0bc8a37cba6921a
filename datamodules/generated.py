"""The default data: images of shapes, generated on this machine and written in the file layouts of real data.

They are deterministic and learnable. The code that reads real images reads them as well.
"""

import hashlib
import logging
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from datamodules import cifar10_files
from datamodules.node_cache import cache_folder

log = logging.getLogger(__name__)

Floats = NDArray[np.float32]
_Mask = Callable[[Floats, Floats, Floats], NDArray[np.bool_]]
"""From x and y in units of the shape's radius, and the radius in pixels, to a mask of the shape."""


def _stripes(position: Floats, radius: Floats) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (np.abs(position) < 1.1) & (np.floor(position * radius / 2.0) % 2 == 0)
    return inside


_SHAPES: dict[str, _Mask] = {
    "disc": lambda x, y, r: x**2 + y**2 < 1,
    "ring": lambda x, y, r: (x**2 + y**2 < 1) & (x**2 + y**2 > 0.4),
    "square": lambda x, y, r: np.maximum(abs(x), abs(y)) < 0.9,
    "frame": lambda x, y, r: (np.maximum(abs(x), abs(y)) < 0.9) & (np.maximum(abs(x), abs(y)) > 0.55),
    "triangle": lambda x, y, r: (y < 0.8) & (y > 2 * abs(x) - 0.9),
    "plus": lambda x, y, r: (np.minimum(abs(x), abs(y)) < 0.28) & (np.maximum(abs(x), abs(y)) < 1),
    "cross": lambda x, y, r: (np.minimum(abs(x + y), abs(x - y)) < 0.4) & (np.maximum(abs(x), abs(y)) < 0.9),
    "rows": lambda x, y, r: _stripes(y, r) & (abs(x) < 1.1),
    "columns": lambda x, y, r: _stripes(x, r) & (abs(y) < 1.1),
    "hourglass": lambda x, y, r: (abs(x) < abs(y)) & (abs(y) < 0.9),
}
CIFAR10_CLASSES = tuple(_SHAPES)
FOLDER_CLASSES = ("ring", "triangle")

TRAIN_COUNT, TEST_COUNT = 10_000, 2_000
FOLDER_TRAIN_COUNT, FOLDER_VAL_COUNT = 120, 100  # per class, as in the transfer learning tutorial
FOLDER_SIZE = 160
_VERSION = 2  # part of the folder's name: raise it when the images change, so that an older folder isn't used


def cifar10_folder() -> Path:
    """A folder that contains ``cifar-10-batches-py``, generated now if this machine doesn't have it."""
    return _generate_once("cifar10", _write_cifar10)


def image_folder() -> Path:
    """A folder with ``train/`` and ``val/``, two classes of JPEG files each, generated now if it isn't there."""
    return _generate_once("image-folder", _write_image_folder)


def announce(counts: Mapping[str, int]) -> None:
    """Logs that the images are generated, with their number by use, such as ``{"training": 10_000}``."""
    listed = ", ".join(f"{count:,} for {use}" for use, count in counts.items())
    log.info("Images: GENERATED on this machine, not real data: %s. Give --data_path for real images.", listed)


def node_lock(folder: Path) -> FileLock:
    """A lock for the processes of this node. It isn't in the folder, which may be on a mount without file locks."""
    return FileLock(cache_folder() / f"{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]}.lock")


def _draw(classes: tuple[str, ...], labels: NDArray[np.int64], size: int, seed: int) -> NDArray[np.uint8]:
    """Images of one coloured shape each, on a coloured background with noise; uint8 (N, size, size, 3)."""
    random = np.random.default_rng([_VERSION, seed])
    count = len(labels)
    unit = size / 32
    radius = random.uniform(7, 11, (count, 1, 1)).astype(np.float32) * unit
    centre_x, centre_y = random.uniform(13, 19, (2, count, 1, 1)).astype(np.float32) * unit
    axis = np.arange(size, dtype=np.float32)
    x, y = (axis[None, None, :] - centre_x) / radius, (axis[None, :, None] - centre_y) / radius
    x, y = np.broadcast_arrays(x, y)
    mask = np.zeros((count, size, size), dtype=bool)
    for label, name in enumerate(classes):
        chosen = labels == label
        mask[chosen] = _SHAPES[name](x[chosen], y[chosen], radius[chosen] / unit)
    background = random.uniform(0, 110, (count, 1, 1, 3)).astype(np.float32)
    colour = random.uniform(150, 255, (count, 1, 1, 3)).astype(np.float32)
    images = np.where(mask[..., None], colour, background)
    images += random.standard_normal(images.shape, dtype=np.float32) * 35
    return images.clip(0, 255).astype(np.uint8)


def _write_cifar10(folder: Path) -> None:
    target = folder / cifar10_files.FOLDER
    target.mkdir()
    images_per_file = TRAIN_COUNT // len(cifar10_files.TRAIN_FILES)
    for number, name in enumerate((*cifar10_files.TRAIN_FILES, cifar10_files.TEST_FILE)):
        count = TEST_COUNT if name == cifar10_files.TEST_FILE else images_per_file
        labels = np.random.default_rng([_VERSION, 1000 + number]).permutation(np.arange(count) % len(CIFAR10_CLASSES))
        images = _draw(CIFAR10_CLASSES, labels, size=32, seed=number)
        rows = images.transpose(0, 3, 1, 2).reshape(count, -1)
        _write_pickle({"batch_label": name, "labels": labels.tolist(), "data": rows}, target / name)
    _write_pickle(
        {"label_names": list(CIFAR10_CLASSES), "num_cases_per_batch": images_per_file}, target / cifar10_files.META_FILE
    )


def _write_pickle(content: dict[str, object], path: Path) -> None:
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=2)  # like the official files


def _write_image_folder(folder: Path) -> None:
    for number, (split, count) in enumerate({"train": FOLDER_TRAIN_COUNT, "val": FOLDER_VAL_COUNT}.items()):
        labels = np.arange(len(FOLDER_CLASSES)).repeat(count)
        images = _draw(FOLDER_CLASSES, labels, FOLDER_SIZE, seed=100 + number)
        for index, (label, image) in enumerate(zip(labels, images, strict=True)):
            target = folder / split / FOLDER_CLASSES[label]
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(target / f"{FOLDER_CLASSES[label]}_{index % count:04d}.jpg", quality=90)


def _generate_once(name: str, write: Callable[[Path], None]) -> Path:
    """Runs ``write`` once per machine; other processes wait meanwhile, and none sees an incomplete folder."""
    target = cache_folder() / f"generated-{name}-{_VERSION}"
    if not target.is_dir():
        with FileLock(target.with_suffix(".lock")), _renamed_when_complete(target) as folder:
            if folder is not None:
                write(folder)
    return target


@contextmanager
def _renamed_when_complete(target: Path) -> Iterator[Path | None]:
    if target.is_dir():  # another process finished it while this one waited for the lock
        yield None
        return
    for unfinished in target.parent.glob(
        f".{target.name}-*"
    ):  # left by programs that were killed; this process has the lock
        shutil.rmtree(unfinished, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield folder
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
