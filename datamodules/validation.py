"""The error that unusable data raises, and checks of numbers and of shares."""

from collections.abc import Mapping

import pytorch_lightning as pl
import torch


def require(flag: str, value: int, *, at_least: int) -> None:
    """Raises DataError unless ``value`` is large enough."""
    if value < at_least:
        raise DataError(f"{flag} {value}: expected a whole number of at least {at_least}")


def require_shares(trainer: pl.Trainer | None, counts: Mapping[str, int]) -> None:
    """Called by all processes when each has found its images: ``counts`` by what they are for.

    Raises:
        DataError: A process would be left without an image, while the others wait for it; or not all have found the
            same ones, so that some would be left out and others counted twice.
    """
    if trainer is None or trainer.world_size == 1:
        return
    for use, count in counts.items():
        if count < trainer.world_size:
            raise DataError(
                f"{_counted(count)} for {use} and {trainer.world_size} processes, of which each needs one: give more "
                "images, or fewer processes (--trainer.devices, --trainer.num_nodes)"
            )
    found: list[dict[str, int]] = [{} for _ in range(trainer.world_size)]
    torch.distributed.all_gather_object(found, dict(counts))
    for rank, there in enumerate(found):
        for use, count in found[0].items():
            if there.get(use) != count:
                raise DataError(
                    f"--data_path: rank 0 finds {_counted(count)} for {use}, rank {rank} finds {there.get(use, 0):,}; "
                    "all nodes need the same data"
                )


def _counted(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


class DataError(ValueError):
    """What a datamodule was given can't be used; the message names the parameter, what was found and what to do."""
