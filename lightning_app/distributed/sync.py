"""What the processes of a run share: the resume plan of rank 0, its checkpoint, and gathered values."""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from lightning_app.errors import UsageError

log = logging.getLogger(__name__)

T = TypeVar("T")
_PIECE = 2**24  # bytes of a file that are sent at a time


def run_connected(trainer: pl.Trainer, function: Callable[[], T]) -> T:
    """Calls the function in each process when they can hear one another; Lightning starts those that are missing.

    The Trainer does the same again later, and finds it done.
    """
    launcher = trainer.strategy.launcher
    if trainer.world_size == 1:
        return function()
    if isinstance(launcher, _MultiProcessingLauncher):
        raise UsageError("--trainer.strategy: several processes that are spawned or forked aren't supported; give ddp")

    def call() -> T:
        trainer.strategy.setup_environment()
        return function()

    return call() if launcher is None else launcher.launch(call)


def broadcast(trainer: pl.Trainer, value: T) -> T:
    """Rank 0's value, in each process."""
    return value if trainer.world_size == 1 else trainer.strategy.broadcast(value, src=0)


def gather(trainer: pl.Trainer, value: T) -> list[T]:
    """The values of all processes, in the order of their ranks."""
    if trainer.world_size == 1:
        return [value]
    values: list[T] = [value] * trainer.world_size
    torch.distributed.all_gather_object(values, value)
    return values


def require_same_checkpoint(trainer: pl.Trainer, checkpoint: Path) -> None:
    """Each process has read its settings from the checkpoint that it finds: all must have found the same one.

    Raises:
        UsageError: A node has another file under the same name.
    """
    if trainer.world_size == 1:
        return
    others = run_connected(trainer, lambda: _nodes_that_lack(trainer, checkpoint))
    if others:
        raise UsageError(
            f"checkpoint {str(checkpoint)!r}: node {_listed(others)} has another one than node 0; give --ckpt_path, a "
            "file that is the same on all nodes, such as one on a mount"
        )


@contextmanager
def checkpoint_everywhere(trainer: pl.Trainer, checkpoint: Path | None) -> Iterator[Path | None]:
    """Rank 0's checkpoint, as a file that this process can read while the context lasts.

    Only rank 0 writes checkpoints, and nodes have disks of their own: a node that has no such file, or another one
    under the same name, gets a copy of rank 0's.
    """
    if trainer.world_size == 1:
        yield checkpoint
        return
    checkpoint = run_connected(trainer, lambda: broadcast(trainer, checkpoint))
    lacking = _nodes_that_lack(trainer, checkpoint) if checkpoint is not None else []
    if checkpoint is None or not lacking:
        yield checkpoint
        return
    log.debug("Sending %s to node %s.", checkpoint, _listed(lacking))
    with tempfile.TemporaryDirectory(prefix="lightning-azureml-") as folder:
        copied = _send_file(trainer, checkpoint, Path(folder), lacking)
        yield copied if trainer.node_rank in lacking else checkpoint


def _nodes_that_lack(trainer: pl.Trainer, checkpoint: Path) -> list[int]:
    mine = _digest(checkpoint) if trainer.local_rank == 0 else None
    of_nodes = {node: digest for node, digest in gather(trainer, (trainer.node_rank, mine)) if digest is not None}
    return [node for node, digest in sorted(of_nodes.items()) if digest != of_nodes[0]]


def _listed(nodes: list[int]) -> str:
    return ", ".join(map(str, nodes))


def _digest(path: Path) -> str:
    try:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()
    except OSError:
        return "can't be read"


def _send_file(trainer: pl.Trainer, checkpoint: Path, folder: Path, lacking: list[int]) -> Path:
    """Where the first process of this node has put what rank 0 has read."""
    copied = folder / checkpoint.name
    source = checkpoint.open("rb") if trainer.is_global_zero else None
    target = copied.open("wb") if trainer.local_rank == 0 and trainer.node_rank in lacking else None
    try:
        while piece := broadcast(trainer, source.read(_PIECE) if source else b""):
            if target:
                target.write(piece)
    finally:
        for file in (source, target):
            if file:
                file.close()
    return gather(trainer, copied)[trainer.global_rank - trainer.local_rank]
