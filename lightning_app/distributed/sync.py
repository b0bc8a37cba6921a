"""What the processes of a run exchange beside DDP: values of rank 0 or of all, and checkpoints."""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytorch_lightning as pl
import torch

from lightning_app.errors import UsageError

log = logging.getLogger(__name__)

T = TypeVar("T")
_CHUNK_BYTES = 2**24  # of a file, sent at a time


def run_connected(trainer: pl.Trainer, function: Callable[[], T]) -> T:
    """Connects the processes, of which Lightning starts those that are missing, and calls the function in each.

    The Trainer connects them again later, which has no effect then.
    """
    launcher = trainer.strategy.launcher
    if trainer.world_size == 1:
        return function()

    def call() -> T:
        trainer.strategy.setup_environment()
        return function()

    return call() if launcher is None else launcher.launch(call)


def disconnect() -> None:
    """Ends the connection to the other processes; none of them has to be in this function.

    Without it the interpreter may end first. A thread of gloo that frees a tensor of its last operation then, for which
    it needs the interpreter, aborts the process ("terminate called without an active exception").
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def broadcast(trainer: pl.Trainer, value: T) -> T:
    """Rank 0's value, in each process."""
    return value if trainer.world_size == 1 else trainer.strategy.broadcast(value, src=0)


def gather(trainer: pl.Trainer, value: T) -> list[T]:
    """The values of all processes, by rank."""
    if trainer.world_size == 1:
        return [value]
    values: list[T] = [value] * trainer.world_size
    torch.distributed.all_gather_object(values, value)
    return values


def require_same_checkpoint(trainer: pl.Trainer, checkpoint: Path) -> None:
    """Each process has read its settings from the checkpoint on its own node: all must be the same file.

    Raises:
        UsageError: A node has another file under the same name.
    """
    if trainer.world_size == 1:
        return
    different = run_connected(trainer, lambda: _nodes_without(trainer, checkpoint))
    if different:
        raise UsageError(
            f"checkpoint {str(checkpoint)!r}: node {_join(different)} has another file than node 0; give a --ckpt_path "
            "that is the same file on all nodes, such as one on a mount"
        )


@contextmanager
def checkpoint_everywhere(trainer: pl.Trainer, checkpoint: Path | None) -> Iterator[Path | None]:
    """Rank 0's checkpoint, as a file that this process can read within the context.

    Only rank 0 writes checkpoints, and each node may have its own disk: a node without the file, or with a different
    file of the same name, gets a copy of rank 0's.
    """
    if trainer.world_size == 1:
        yield checkpoint
        return
    checkpoint = run_connected(trainer, lambda: broadcast(trainer, checkpoint))
    receivers = _nodes_without(trainer, checkpoint) if checkpoint is not None else []
    if checkpoint is None or not receivers:
        yield checkpoint
        return
    log.debug("Sending %s to node %s.", checkpoint, _join(receivers))
    with tempfile.TemporaryDirectory(prefix="lightning-azureml-") as folder:
        copy = _send_file(trainer, checkpoint, Path(folder), receivers)
        yield copy if trainer.node_rank in receivers else checkpoint


def _nodes_without(trainer: pl.Trainer, checkpoint: Path) -> list[int]:
    """Nodes whose file isn't the same as that of node 0."""
    own = _digest(checkpoint) if trainer.local_rank == 0 else None
    digests = {node: digest for node, digest in gather(trainer, (trainer.node_rank, own)) if digest is not None}
    return [node for node, digest in sorted(digests.items()) if digest != digests[0]]


def _join(nodes: list[int]) -> str:
    return ", ".join(map(str, nodes))


def _digest(path: Path) -> str:
    try:
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()
    except OSError:
        return "unreadable"


def _send_file(trainer: pl.Trainer, checkpoint: Path, folder: Path, receivers: list[int]) -> Path:
    """Sends rank 0's file to the nodes in ``receivers``; returns the path of this node's copy."""
    copy = folder / checkpoint.name
    source = checkpoint.open("rb") if trainer.is_global_zero else None
    target = copy.open("wb") if trainer.local_rank == 0 and trainer.node_rank in receivers else None
    try:
        while chunk := broadcast(trainer, source.read(_CHUNK_BYTES) if source else b""):
            if target:
                target.write(chunk)
    finally:
        for file in (source, target):
            if file:
                file.close()
    return gather(trainer, copy)[trainer.global_rank - trainer.local_rank]
