"""Features of images: rows that are computed once, in files which the processes of a node share and later runs find."""

import logging
import os
import shutil
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.node_cache import cache_folder
from datamodules.validation import memory

log = logging.getLogger(__name__)

_UNUSED = 7 * 24 * 3600  # seconds after which features that no run has used are removed
_SPARE = 2**30  # bytes of the disk that are left free
_OF_MEMORY = 8  # without room on the disk, a table may have this part of the memory


class FeatureTable:
    """Features of ``count`` images, a row for each, of which some may be missing.

    Each row has a checksum. It says that the row is there, and whole: after a machine has failed, parts of a file may
    never have reached the disk. Several processes may fill a table at the same time: all compute the same rows.

    Args:
        path: Of the two files, without their extensions; their folder must exist. None: in memory, of this process.
        count: Number of images.
        width: Features of an image.
        dtype: Their type.

    Raises:
        OSError: The disk has no room.
    """

    def __init__(self, path: Path | None, count: int, width: int, dtype: torch.dtype) -> None:
        size = row_bytes(width, dtype)
        self._bytes = _array(path and path.with_suffix(".rows"), np.uint8, (count, size))
        self._sums = _array(path and path.with_suffix(".crc32"), np.uint32, (count,))
        self._rows = torch.from_numpy(self._bytes).view(dtype)
        self._is_known = np.zeros(count, dtype=bool)

    def missing(self, indices: Tensor) -> Tensor:
        """Those of the images, int64 (B,), whose features aren't there, in the same order."""
        numbers = indices.numpy()
        for number in numbers[~self._is_known[numbers]]:
            self._is_known[number] = self._sums[number] != 0 and self._sums[number] == _checksum(self._bytes[number])
        return indices[torch.from_numpy(~self._is_known[numbers])]

    def rows(self, indices: Tensor) -> Tensor:
        """Features (B, width) of images, int64 (B,), none of which is missing."""
        return self._rows.index_select(0, indices)

    def put(self, indices: Tensor, features: Tensor) -> None:
        """Adds the features (B, width) of images, int64 (B,)."""
        self._rows[indices] = features.to("cpu", self._rows.dtype)
        for number in indices.tolist():
            self._sums[number] = _checksum(self._bytes[number])
            self._is_known[number] = True


def open_table(key: str, view: int, count: int, width: int, dtype: torch.dtype) -> FeatureTable | None:
    """The features of one view of the images, on this node's disk, or else in memory; None if neither has room.

    Args:
        key: Names all that the features depend on, except the view.
        view: Its number, from 0.
        count: Number of images.
        width: Features of an image.
        dtype: Their type.
    """
    needed = count * (row_bytes(width, dtype) + 4)
    try:
        folder = _folder(key)
        path = folder / f"view-{view:04}"
        if not path.with_suffix(".rows").exists() and shutil.disk_usage(folder).free < needed + _SPARE:
            raise OSError("too little space")
        return FeatureTable(path, count, width, dtype)
    except OSError as error:
        reason = error.strerror or str(error)
    available = memory()
    if available is not None and needed > available / _OF_MEMORY:
        log.warning("No room for features of %s GB, on the disk (%s) or in memory.", f"{needed / 2**30:,.0f}", reason)
        return None
    log.warning("Features are kept in memory, for this run only: the disk can't have them (%s).", reason)
    return FeatureTable(None, count, width, dtype)


def features_folder() -> Path:
    """The folder of all features on this node."""
    return cache_folder() / "features"


def row_bytes(width: int, dtype: torch.dtype) -> int:
    return width * torch.empty((), dtype=dtype).element_size()


def _folder(key: str) -> Path:
    folder = features_folder() / key
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for other in folder.parent.iterdir():
        try:
            if time.time() - other.stat().st_mtime > _UNUSED:
                shutil.rmtree(other, ignore_errors=True)
        except FileNotFoundError:  # another process has removed it
            continue
    return folder


def _array(path: Path | None, dtype: Any, shape: tuple[int, ...]) -> Any:
    """An array in a file, or else in memory; new parts are zero."""
    if path is None:
        return np.zeros(shape, dtype=dtype)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # a full disk would otherwise end the process by a signal, when a page of the file is written
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
        elif os.fstat(file).st_size < size:
            os.ftruncate(file, size)
    finally:
        os.close(file)
    return np.memmap(path, dtype=dtype, mode="r+", shape=shape)


def _checksum(row: Any) -> int:
    return zlib.crc32(row) or 1  # 0 is the sum of a row that isn't there
