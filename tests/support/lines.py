"""A model of one weight, which trains in no time, for tests of what is logged."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch.utils.data import DataLoader


class Line(pl.LightningModule):
    """Ten batches an epoch; logs ``train_loss`` each step, ``val_loss`` and ``test_loss``."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def _loss(self, batch: torch.Tensor, name: str) -> torch.Tensor:
        loss = torch.nn.functional.mse_loss(self.layer(batch), 2 * batch + 1)
        self.log(name, loss)
        return loss

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self._loss(batch, "train_loss")

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self._loss(batch, "val_loss")

    def test_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self._loss(batch, "test_loss")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self) -> DataLoader[torch.Tensor]:
        return DataLoader(torch.rand(40, 1), batch_size=4)  # type: ignore[arg-type]  # a tensor is a dataset as well

    val_dataloader = test_dataloader = train_dataloader


def line_trainer(logger: Logger | list[Logger], **settings: Any) -> pl.Trainer:
    """A Trainer that logs every 5 steps and is silent."""
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    defaults: dict[str, Any] = {"log_every_n_steps": 5, "accelerator": "cpu"} | quiet
    return pl.Trainer(**(defaults | {"logger": logger} | settings))


def fit_line(logger: Logger | list[Logger], ckpt_path: str | None = None, **settings: Any) -> pl.Trainer:
    """Fits a new model; returns the Trainer."""
    trainer = line_trainer(logger, **settings)
    trainer.fit(Line(), ckpt_path=ckpt_path)
    return trainer
