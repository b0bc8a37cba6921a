"""DDP as this project configures it. Lightning decides whether DDP is used: where there are several processes."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.accelerators import CUDAAccelerator
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from lightning_app.errors import UsageError

# For a process that waits for others in a collective operation. Rank 0 may take minutes to download data or weights;
# lightning_app.watchdog detects within seconds that a process is dead or stuck.
TIMEOUT = timedelta(minutes=30)

_DDP = "ddp"  # Lightning's default for several processes


@contextmanager
def ddp_defaults(model: pl.LightningModule) -> Iterator[None]:
    """A Trainer that is created in this context and uses "ddp", named or chosen by Lightning, gets our options.

    One process uses no DDP, and a strategy with another name is left as it is.
    """
    original = StrategyRegistry[_DDP]
    options = original["init_params"] | {"timeout": TIMEOUT} | ddp_options(model)
    StrategyRegistry.register(_DDP, DDPStrategy, original["description"], override=True, **options)
    try:
        yield
    finally:
        StrategyRegistry[_DDP] = original


def ddp_options(model: pl.LightningModule) -> dict[str, Any]:
    """Options of DistributedDataParallel for this model.

    A model whose buffers don't change in training says so with ``trains_buffers = False``; any other has True.

    Measured with ``python -m benchmarks.scaling --options``: processor time of a step of two processes, as a ratio to
    DDP without options, with about 5 % noise. No option makes a step faster by more than that; those used here have
    other reasons.

    - ``gradient_as_bucket_view`` (CIFAR Net 0.99 and 0.96, ResNet-18 frozen 1.01, fine-tuned 1.00) keeps gradients in
      memory once instead of twice, which saves 45 MB for ResNet-18.
    - Buffers of a frozen backbone (1.00) never change, so the 60 of them aren't sent at each step. Those of batch
      norms in training are sent, so that all processes validate the same network.
    - ``static_graph`` (0.94 to 1.02; frozen 1.01) isn't used: with a frozen backbone DDP handles two parameters only,
      and PyTorch fails if ``accumulate_grad_batches`` is more than 1 (PyTorch #143580).
    - ``find_unused_parameters`` isn't used: each step uses all trained parameters.
    """
    options: dict[str, Any] = {"gradient_as_bucket_view": True}
    if not _trains_buffers(model):
        options |= without_buffers()
    return options


def without_buffers() -> dict[str, Any]:
    """The option with which DDP doesn't send rank 0's buffers at each step; its name depends on torch's version."""
    known = inspect.signature(DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False}


def check_sync_batchnorm(model: pl.LightningModule, trainer: pl.Trainer) -> None:
    """For a Trainer with ``sync_batchnorm=True``.

    Raises:
        UsageError: It would have no effect, or torch doesn't support it here.
    """
    flag = "--trainer.sync_batchnorm true"
    if not any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise UsageError(f"{flag}: {type(model).__name__} has no batch norms; leave it out")
    if not _trains_buffers(model):
        raise UsageError(
            f"{flag}: the batch norms of a frozen backbone don't change; leave it out, or give "
            "--model.freeze_backbone false"
        )
    if trainer.num_nodes * trainer.num_devices == 1:
        raise UsageError(f"{flag}: one process has the whole batch already; leave it out, or give more processes")
    if not isinstance(trainer.accelerator, CUDAAccelerator):
        raise UsageError(f"{flag}: PyTorch synchronises batch norms on GPUs only; leave it out, or train on GPUs")


def _trains_buffers(model: pl.LightningModule) -> bool:
    return bool(getattr(model, "trains_buffers", True))
