"""The error for unusable data, and checks of parameters and of the number of images per process."""

from collections.abc import Mapping

import pytorch_lightning as pl
import torch


def require(flag: str, value: int, *, at_least: int) -> None:
    """Raises DataError if ``value`` is less than ``at_least``."""
    if value < at_least:
        raise DataError(f"{flag} {value}: expected a whole number of at least {at_least}")


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


class DataError(ValueError):
    """A parameter or the data of a datamodule can't be used; the message says what was found and what to do."""
