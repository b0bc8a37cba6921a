"""Reads CIFAR-10's official files, which are pickles, without trusting their content."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import DataError

FOLDER = "cifar-10-batches-py"
TRAIN_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_FILE = "test_batch"
META_FILE = "batches.meta"
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_BYTES_PER_IMAGE = 3 * 32 * 32


@dataclass(frozen=True)
class LabelledImages:
    """Images, uint8 (N, 32, 32, 3), and their labels, int64 (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


def find_folder(data_path: Path) -> Path:
    """The folder with the batch files: ``data_path``, a folder in it, or ``cifar-10-batches-py`` in one of these."""
    try:
        subfolders = sorted(entry for entry in data_path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        for folder in (data_path, data_path / FOLDER, *subfolders, *(entry / FOLDER for entry in subfolders)):
            if any((folder / name).is_file() for name in (*TRAIN_FILES, TEST_FILE)):
                return folder
        content = ", ".join(repr(entry.name) for entry in sorted(data_path.iterdir())[:5]) or "nothing"
    except OSError as error:
        raise DataError(f"--data_path {str(data_path)!r}: can't be read ({error.strerror}); give a folder") from error
    raise DataError(
        f"--data_path {str(data_path)!r}: expected the folder {FOLDER!r} with 'data_batch_1' to 'data_batch_5' and "
        f"'test_batch' in it; found {content}"
    )


def read_split(folder: Path, train: bool, classes: int) -> LabelledImages:
    """All images of the training files, or of the test file."""
    names = TRAIN_FILES if train else (TEST_FILE,)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"--data_path {str(folder)!r}: {missing[0]!r} is missing; expected the files {', '.join(names)}"
        )
    # an image takes no less of a file than of memory; what stays unused at the end takes no memory
    at_most = sum((folder / name).stat().st_size for name in names) // _BYTES_PER_IMAGE
    images, labels, count = torch.empty((at_most, 32, 32, 3), dtype=torch.uint8), [], 0
    for name in names:
        batch = _read_batch(folder / name, classes)
        if count + len(batch) > at_most:
            raise _unusable(folder / name, "it has more images than bytes")
        images[count : count + len(batch)] = batch.images
        labels.append(batch.labels)
        count += len(batch)
    return LabelledImages(images[:count], torch.cat(labels))


def read_classes(folder: Path) -> list[str]:
    """The names of the classes in label order, from ``batches.meta``; CIFAR-10's own if that file is missing."""
    path = folder / META_FILE
    if not path.is_file():
        return list(CIFAR10_CLASSES)
    names = _get(_read_pickle(path), "label_names")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise _unusable(path, f"'label_names' is {names!r:.60}, expected a list of names")
    return names


def _read_batch(path: Path, classes: int) -> LabelledImages:
    content = _read_pickle(path)
    data, labels = _get(content, "data"), _get(content, "labels")
    if (
        not isinstance(data, np.ndarray)
        or data.dtype != np.uint8
        or data.ndim != 2
        or data.shape[1] != _BYTES_PER_IMAGE
    ):
        actual = f"{data.dtype} of shape {data.shape}" if isinstance(data, np.ndarray) else type(data).__name__
        raise _unusable(path, f"'data' is {actual}, expected uint8 of shape (N, {_BYTES_PER_IMAGE})")
    if not isinstance(labels, list | np.ndarray) or len(labels) != len(data) or len(data) == 0:
        count = len(labels) if isinstance(labels, list | np.ndarray) else type(labels).__name__
        raise _unusable(path, f"expected one label per image; found {len(data)} images and {count} labels")
    wrong = next((label for label in labels if not _is_label(label, classes)), None)
    if wrong is not None:
        raise _unusable(path, f"found label {wrong!r}, expected whole numbers from 0 to {classes - 1}")
    images = torch.from_numpy(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return LabelledImages(images, torch.tensor([int(label) for label in labels], dtype=torch.int64))


def _is_label(label: Any, classes: int) -> bool:
    return isinstance(label, int | np.integer) and not isinstance(label, bool) and 0 <= int(label) < classes


def _get(content: Any, key: str) -> Any:
    return content.get(key) if isinstance(content, dict) else None


def _unusable(path: Path, reason: str) -> DataError:
    return DataError(f"--data_path: {str(path)!r} is not a batch of CIFAR-10: {reason}")


class _ForbiddenName(pickle.UnpicklingError):
    """The pickle names a function or class that plain data doesn't need."""


def _read_pickle(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            # latin1: Python 2 wrote the official files, and its strings are bytes
            return _PlainDataUnpickler(file, encoding="latin1").load()
    except _ForbiddenName as error:
        raise _unusable(path, f"it names {error}, which data doesn't need; no code in it was run") from error
    except OSError as error:
        raise _unusable(path, f"can't be read ({error.strerror or error})") from error
    except Exception as error:  # a damaged pickle raises errors of many kinds, which mean the same to the user
        raise _unusable(path, f"truncated or damaged ({type(error).__name__}: {error})") from error


def _encode(text: str, encoding: str) -> bytes:
    """Replaces ``_codecs.encode``, which Python 3 uses for bytes in pickles of old protocols, always with latin1."""
    if encoding != "latin1":
        raise _ForbiddenName(f"the codec {encoding!r}")
    return text.encode(encoding)


def _no_bytes() -> bytes:
    """Replaces ``bytes``, which Python 3 uses for empty bytes; an argument could allocate any amount of memory."""
    return b""


class _PlainDataUnpickler(pickle.Unpickler):
    """Builds arrays, strings, numbers, lists and dicts; any other name raises an error, and no code runs."""

    _allowed: ClassVar[dict[tuple[str, str], Any]] = {
        ("_codecs", "encode"): _encode,
        ("__builtin__", "bytes"): _no_bytes,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        **{
            (f"numpy.{core}.{module}", name): function
            for core in ("core", "_core")  # NumPy 2 renamed it, and files of both versions exist
            for (module, name), function in {
                ("multiarray", "_reconstruct"): np.zeros(1).__reduce__()[0],
                ("multiarray", "scalar"): np.float64(0).__reduce__()[0],
                ("numeric", "_frombuffer"): np.zeros(1).__reduce_ex__(5)[0],
            }.items()
        },
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise _ForbiddenName(f"'{module}.{name}'") from None
