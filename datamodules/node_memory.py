"""Memory that the processes of a node share (on Linux; elsewhere each process has its own)."""

import math
import mmap
import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor

from datamodules.errors import DataError

Tensors = dict[tuple[str, str], Tensor]
"""By two names, such as those of a split and of a part of it."""

_ALIGNED = 64  # bytes: each tensor begins at a multiple of them


class _Place(NamedTuple):
    """A tensor in a memory, from its first byte on."""

    name: tuple[str, str]
    first: int
    dtype: torch.dtype
    shape: tuple[int, ...]


class Address(NamedTuple):
    """What another process of the node needs to map a memory."""

    pid: int
    name: str
    file: int
    capacity: int


class NodeMemory:
    """Bytes, all 0 at first, which use memory only where something was written.

    Args:
        capacity: Number of bytes, at least 1.

    Raises:
        OSError: There is no such memory.
    """

    def __init__(self, capacity: int) -> None:
        self._name, self._file = f"images-{secrets.token_hex(8)}", -1
        if hasattr(os, "memfd_create"):  # a file without a name, in memory, which other processes can open
            self._file = os.memfd_create(self._name)
            os.truncate(self._file, capacity)
        self.buffer = mmap.mmap(self._file, capacity)

    @property
    def address(self) -> Address:
        return Address(os.getpid(), self._name, self._file, len(self.buffer))

    def close_file(self) -> None:
        """Afterwards no other process can map this memory, and it is free when nobody uses it."""
        if self._file != -1:
            os.close(self._file)
            self._file = -1


def mapped(address: Address) -> mmap.mmap | None:
    """The memory of another process, which may end afterwards; None if it is in another container, for example."""
    link = Path(f"/proc/{address.pid}/fd/{address.file}")
    with suppress(OSError):
        if address.name in str(link.readlink()):
            with link.open("r+b") as opened:
                return mmap.mmap(opened.fileno(), address.capacity)
    return None


class _Read(NamedTuple):
    """What a process has read: the places of its tensors in a memory that others may map, or an error."""

    node: int
    address: Address | None = None
    places: tuple[_Place, ...] = ()
    error: str | None = None


def read_once_per_node(read: Callable[[], Tensors], trainer: pl.Trainer | None) -> Tensors:
    """What ``read`` returns. Of the processes of a node, one reads, and the others share its memory.

    All processes of the run call it together. The tensors must not be changed.

    Raises:
        DataError: ``read`` has raised it, in the process that reads for a node.
    """
    if trainer is None or trainer.world_size == 1 or not torch.distributed.is_initialized():
        return read()
    own: Tensors | None = None
    memory, reading, problem = None, _Read(trainer.node_rank), None
    if trainer.local_rank == 0:
        try:
            own = read()
        except DataError as error:  # the others don't wait for what doesn't come
            problem, reading = error, _Read(trainer.node_rank, error=str(error))
        else:
            with suppress(OSError):
                memory, own, places = _in_node_memory(own)
                reading = _Read(trainer.node_rank, memory.address, places)
    everyone: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(everyone, reading)
    if problem is not None:
        raise problem
    for found in everyone:
        if found.error is not None:
            raise DataError(found.error)
    if own is None:
        own = _of_this_node(everyone, trainer.node_rank)
    torch.distributed.barrier()  # no process ends before the others have mapped its memory
    if memory is not None:
        memory.close_file()
    return read() if own is None else own


def _in_node_memory(tensors: Tensors) -> tuple[NodeMemory, Tensors, tuple[_Place, ...]]:
    """A memory with a copy of the tensors, the copies, and their places."""
    places, end = [], 1
    for name, tensor in tensors.items():
        first = -(-end // _ALIGNED) * _ALIGNED
        places.append(_Place(name, first, tensor.dtype, tuple(tensor.shape)))
        end = first + tensor.nbytes
    memory = NodeMemory(end)
    copies = _tensors(memory.buffer, places)
    for name, tensor in tensors.items():
        copies[name].copy_(tensor)
    return memory, copies, tuple(places)


def _of_this_node(everyone: list[_Read], node: int) -> Tensors | None:
    for found in everyone:
        if found.node == node and found.address is not None:
            buffer = mapped(found.address)
            return None if buffer is None else _tensors(buffer, found.places)
    return None


def _tensors(buffer: mmap.mmap, places: Iterable[_Place]) -> Tensors:
    return {
        place.name: torch.frombuffer(buffer, dtype=place.dtype, count=math.prod(place.shape), offset=place.first).view(
            place.shape
        )
        for place in places
    }
