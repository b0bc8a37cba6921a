"""Images in the file layouts that the datamodules read."""

import pickle
from pathlib import Path

import numpy as np
from PIL import Image

from datamodules import cifar10_files


def write_batch(path: Path, count: int, seed: int, protocol: int = 2) -> None:
    """Writes one batch file of CIFAR-10; the red channel increases with the label, so that a network can learn it."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    data = random.integers(0, 120, (count, 3072), dtype=np.uint8)
    data[:, :1024] = data[:, :1024] // 8 + (labels * 24)[:, None]
    with path.open("wb") as file:
        pickle.dump({"data": data, "labels": labels.tolist()}, file, protocol=protocol)


def make_cifar10(root: Path, images_per_file: int = 40) -> Path:
    folder = root / cifar10_files.FOLDER
    folder.mkdir(parents=True)
    for seed, name in enumerate((*cifar10_files.TRAIN_FILES, cifar10_files.TEST_FILE)):
        write_batch(folder / name, images_per_file, seed)
    with (folder / cifar10_files.META_FILE).open("wb") as file:
        pickle.dump({"label_names": list(cifar10_files.CIFAR10_CLASSES)}, file, protocol=2)
    return root


def make_image_folder(root: Path, splits: tuple[str, ...] = ("train", "val"), count: int = 6) -> Path:
    random = np.random.default_rng(0)
    for split in splits:
        for name, level in {"dark": 40, "light": 200}.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(random.normal(level, 20, (40, 48, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{name}{number}.jpg")
    return root
