"""Models, functions and callbacks that tests give to Lightning's own parts, by import path."""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import grad_norm
from torch import Tensor, nn

from datamodules.in_memory import InMemoryLoader
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


class SeenImages(pl.Callback):
    """Writes a line for each training batch: the rank, the step, and the numbers of its images, known by their pixels.

    The pixels are compared as they come to the model: augmented, with the random numbers of the epoch. The variable
    SEEN_IMAGES names the folder of the files: with a setting of its own, each part of a run would be another run.
    """

    def __init__(self) -> None:
        self.folder = Path(os.environ["SEEN_IMAGES"])
        self._numbers: dict[bytes, int] = {}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        loader: Any = trainer.train_dataloader
        if isinstance(loader, InMemoryLoader):
            images, epoch = loader.images, trainer.current_epoch
            pixels = images if loader.transform is None else loader.transform(images, torch.arange(len(images)), epoch)
            everything = loader._normalise(pixels)
        else:
            images = torch.stack([loader.dataset[(trainer.current_epoch, i)][0] for i in range(len(loader.dataset))])
            everything = trainer.datamodule.on_after_batch_transfer((images, images), 0)[0]  # type: ignore[attr-defined]
        self._numbers = {_digest(image): number for number, image in enumerate(everything)}

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, _: int) -> None:
        numbers = [self._numbers[_digest(image)] for image in batch[0]]
        line = {"rank": trainer.global_rank, "step": trainer.global_step, "images": numbers}
        with (self.folder / f"images-{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.contiguous().cpu().numpy().tobytes()).digest()
