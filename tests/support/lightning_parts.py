"""Models, functions and callbacks that tests give to Lightning's own parts, by import path."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import grad_norm
from torch import Tensor, nn

from models import CifarNet


class WithBackbone(CifarNet):
    """Has the module that ``BackboneFinetuning`` freezes at first."""

    @property
    def backbone(self) -> nn.Module:
        return nn.ModuleList([self.network.conv1, self.network.conv2])  # type: ignore[list-item]  # modules


def batch_size(batch: tuple[Tensor, Tensor]) -> int:
    return len(batch[1])


class Batches(pl.Callback):
    """Writes a line for each training batch: the epoch, the batch's digest and the norm of the gradients as applied."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        digest = hashlib.sha256(batch[0].cpu().numpy().tobytes()).hexdigest()
        norms = [float(weight.grad.float().norm()) for weight in pl_module.parameters() if weight.grad is not None]
        line = {"epoch": trainer.current_epoch, "digest": digest, "norm": math.hypot(*norms)}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


class GradientNorm(pl.Callback):
    """Logs the norm of the gradients, as Lightning's documentation shows."""

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        pl_module.log_dict(grad_norm(pl_module, norm_type=2))


class LogsInSetup(pl.Callback):
    """Uses the loggers in ``setup``, as Lightning's own callbacks may."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":
            for logger in trainer.loggers:
                logger.log_metrics({"in_setup": 1.0}, step=0)
