"""DDP as this project configures it. Whether there is DDP at all is for Lightning to say: where processes are many."""

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
from models import ResNetTransfer

# Of a process that waits for another one in an exchange or a barrier. Rank 0 may be downloading data or weights for
# minutes then; that a process is dead or stuck is noticed within seconds, by lightning_app.watchdog.
TIMEOUT = timedelta(minutes=30)

_DDP = "ddp"  # what Lightning takes where nobody names a strategy and there are several processes


@contextmanager
def ddp_defaults(model: pl.LightningModule) -> Iterator[None]:
    """A Trainer that is made in here and comes by "ddp", named or chosen by Lightning, has our options.

    One process has no DDP, and a strategy by any other name is as its author made it.
    """
    lightnings = StrategyRegistry[_DDP]
    options = lightnings["init_params"] | {"timeout": TIMEOUT} | ddp_options(model)
    StrategyRegistry.register(_DDP, DDPStrategy, lightnings["description"], override=True, **options)
    try:
        yield
    finally:
        StrategyRegistry[_DDP] = lightnings


def ddp_options(model: pl.LightningModule) -> dict[str, Any]:
    """Options of DistributedDataParallel for this model.

    Measured with ``python -m benchmarks.scaling --options``: processor time of a step of two processes, as a ratio to
    DDP without options, whose noise is some 5 %. None makes a step quicker by more than that; what is here has other
    reasons.

    - ``gradient_as_bucket_view`` (CIFAR Net 0.99 and 0.96, ResNet-18 frozen 1.01, fine-tuned 1.00): gradients are in
      memory once and not twice, which is 45 MB for ResNet-18.
    - Buffers of a frozen backbone (1.00) never change, and 60 of them needn't be sent at each step. Those of batch
      norms in training are sent, so that all processes validate the same network.
    - ``static_graph`` (0.94 to 1.02; frozen 1.01) is left alone: DDP has only the head's two parameters to look after
      anyhow, where the rest is frozen, and PyTorch breaks off where ``accumulate_grad_batches`` is more than 1 (its
      #143580).
    - ``find_unused_parameters`` stays off: all that is trained is used in each step.
    """
    options: dict[str, Any] = {"gradient_as_bucket_view": True}
    if _is_frozen(model):
        options |= without_buffers()
    return options


def without_buffers() -> dict[str, Any]:
    """The option that keeps DDP from sending rank 0's buffers at each step, by the name that this torch has for it."""
    known = inspect.signature(DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers": False}


def check_sync_batchnorm(model: pl.LightningModule, trainer: pl.Trainer) -> None:
    """For a Trainer with ``sync_batchnorm=True``: whether there is anything that it could do.

    Raises:
        UsageError: There isn't, or torch can't do it.
    """
    flag = "--trainer.sync_batchnorm true"
    if not any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise UsageError(f"{flag}: {type(model).__name__} has no batch norms; leave it out")
    if _is_frozen(model):
        raise UsageError(
            f"{flag}: the batch norms of a frozen backbone don't change; leave it out, or give "
            "--model.freeze_backbone false"
        )
    if trainer.num_nodes * trainer.num_devices == 1:
        raise UsageError(f"{flag}: one process has the whole batch already; leave it out, or give more processes")
    if not isinstance(trainer.accelerator, CUDAAccelerator):
        raise UsageError(f"{flag}: PyTorch synchronises batch norms on GPUs only; leave it out, or train on GPUs")


def _is_frozen(model: pl.LightningModule) -> bool:
    return isinstance(model, ResNetTransfer) and model.freeze_backbone
