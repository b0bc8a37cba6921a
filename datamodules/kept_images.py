"""Decoded images in memory that the processes of a node share, so that each file is decoded once in a run."""

import mmap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from datamodules.node_memory import Address, NodeMemory, mapped
from datamodules.validation import memory

_OF_MEMORY = 4  # the images may fill this part of the memory, if nothing else is said
_MEMORY_NOW = Path("/proc/meminfo")


def default_bytes() -> int:
    """A quarter of the memory, and at most half of what is available now; none where that is unknown."""
    total = available = memory() or 0
    if _MEMORY_NOW.is_file():
        fields = dict(line.split(":", 1) for line in _MEMORY_NOW.read_text().splitlines())
        available = int(fields.get("MemAvailable", "0 kB").split()[0]) * 2**10
    return min(total // _OF_MEMORY, available // 2)


class KeptImages:
    """Images, uint8 (H, W, 3), by file. What doesn't fit is left out, and is decoded again in each epoch.

    Worker processes that are forked share the memory; those that are started anew (macOS, Windows) have no kept images.
    An image is the same whether it is kept or decoded, so nothing else depends on what is kept.

    Args:
        capacity: Bytes that the images may fill. Memory is used only for those that are there.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity, self._filled = capacity, 0
        self._places: dict[Path, tuple[int, int, int, int]] = {}  # memory, first byte, height, width
        self._memories: list[mmap.mmap] = []
        self._lock = threading.Lock()
        self._own = NodeMemory(capacity) if capacity else None
        if self._own is not None:
            self._memories.append(self._own.buffer)

    def put(self, path: Path, image: Tensor) -> None:
        """Keeps an image if there is room."""
        with self._lock:
            first, end = self._filled, self._filled + image.numel()
            if end > self.capacity:
                return
            self._filled = end
        _pixels(self._memories[0], first, image.shape[0], image.shape[1]).copy_(image)
        self._places[path] = (0, first, image.shape[0], image.shape[1])

    def get(self, path: Path) -> Tensor | None:
        """The image of a file, which must not be changed."""
        if path not in self._places:
            return None
        number, first, height, width = self._places[path]
        return _pixels(self._memories[number], first, height, width)

    def __contains__(self, path: Path) -> bool:
        return path in self._places

    def share(self, trainer: pl.Trainer | None) -> None:
        """Adds the images that the other processes of this node keep; all processes of the run call it together."""
        if trainer is None or trainer.world_size == 1:
            return
        everyone: list[Any] = [None] * trainer.world_size
        address = self._own.address if self._own is not None else None
        torch.distributed.all_gather_object(everyone, (trainer.node_rank, address, self._places))
        for rank, (node, other, places) in enumerate(everyone):
            if node == trainer.node_rank and rank != trainer.global_rank and other is not None:
                self._add(other, places)
        torch.distributed.barrier()  # no process ends before the others have opened its file
        if self._own is not None:
            self._own.close_file()

    def _add(self, address: Address, places: dict[Path, tuple[int, int, int, int]]) -> None:
        memory = mapped(address)
        if memory is not None:
            self._memories.append(memory)
            number = len(self._memories) - 1
            self._places |= {path: (number, *place[1:]) for path, place in places.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return KeptImages, (0,)


def _pixels(buffer: mmap.mmap, first: int, height: int, width: int) -> Tensor:
    return torch.from_numpy(np.frombuffer(buffer, np.uint8, height * width * 3, first)).view(height, width, 3)
