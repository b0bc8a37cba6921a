"""Checks of parameters, of memory and of the number of images per process."""

import math
import os
from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
import torch

from datamodules.errors import DataError

MAX_BATCH_SIZE = 1_000_000
MAX_IMAGE_SIZE = 4_096
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_CGROUP_CORES = Path("/sys/fs/cgroup/cpu.max")
_BYTES_PER_PIXEL = 3 * (1 + 4)  # three channels, as bytes from the file and as floats for the network


def require(flag: str, value: object, *, at_least: int, at_most: int | None = None) -> None:
    """Raises DataError if ``value`` is no whole number, or out of range."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if not is_number or value < at_least or (at_most is not None and value > at_most):  # type: ignore[operator]
        expected = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most:,}"
        raise DataError(f"{flag} {shown(value)}: expected a whole number {expected}")


def require_amount(flag: str, value: object) -> None:
    """Raises DataError if ``value`` is no number from 0 on."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf:  # type: ignore[operator]
        raise DataError(f"{flag} {shown(value)}: expected a number of at least 0")


def require_workers(value: object) -> None:
    """Raises DataError if ``value`` is neither a number of worker processes nor ``auto``."""
    if value == "auto":
        return
    try:
        require("--num_workers", value, at_least=0, at_most=max_workers())
    except DataError as error:
        raise DataError(f"{error}, or auto") from None


def max_workers() -> int:
    """Worker processes that a machine can start without coming to a standstill."""
    return max(32, 4 * (os.cpu_count() or 1))


def require_batch_fits(batch_size: int, image_size: int, count: int) -> None:
    """Raises DataError if the memory of this machine can't hold one batch of the ``count`` images there are."""
    needed, available = min(batch_size, count) * image_size**2 * _BYTES_PER_PIXEL, memory()
    if available is not None and needed > available:
        raise DataError(
            f"--batch_size {batch_size}: a batch of images of {image_size} x {image_size} pixels needs "
            f"{needed / 2**30:.0f} GB of memory, of which there are {available / 2**30:.0f}; give a smaller "
            "--batch_size or --data.image_size"
        )


def cores() -> int:
    """Processors that this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _CGROUP_CORES.read_text().split() if _CGROUP_CORES.is_file() else []
    if len(quota) == 2 and quota[0].isdecimal():
        count = min(count, -(-int(quota[0]) // int(quota[1])))
    return max(1, count)


def shown(value: object) -> str:
    """A value as the user has given it, shortened."""
    if value is None:
        return "null"
    try:
        text = str(value)
    except ValueError:  # Python refuses to write whole numbers of more than 4,300 digits
        return "with thousands of digits"
    return text if len(text) <= 40 else f"{text[:20]}... ({len(text):,} characters)"


def memory() -> int | None:
    """Bytes of memory that this process may use; None where that is unknown."""
    if not hasattr(os, "sysconf"):
        return None
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.is_file() else ""
    return min(machine, int(limit)) if limit.isdecimal() else machine


def require_shares(trainer: pl.Trainer | None, counts: Mapping[str, int]) -> None:
    """Checks that each process gets an image and that all processes have found the same number of images.

    All processes call this after they have found their images.

    Args:
        trainer: The processes; nothing is checked without one.
        counts: Number of images by use, such as ``{"training": 50_000}``.

    Raises:
        DataError: There are fewer images than processes, or the processes have found different numbers of images.
    """
    if trainer is None or trainer.world_size == 1:
        return
    for use, count in counts.items():
        if count < trainer.world_size:
            raise DataError(
                f"{_counted(count)} for {use} and {trainer.world_size} processes, but each process needs one: give "
                "more images, or fewer processes (--trainer.devices, --trainer.num_nodes)"
            )
    by_rank: list[dict[str, int]] = [{} for _ in range(trainer.world_size)]
    torch.distributed.all_gather_object(by_rank, dict(counts))
    for rank, others in enumerate(by_rank):
        for use, count in by_rank[0].items():
            if others.get(use) != count:
                raise DataError(
                    f"--data_path: rank 0 finds {_counted(count)} for {use}, rank {rank} finds {others.get(use, 0):,}; "
                    "give all nodes the same data"
                )


def _counted(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"
