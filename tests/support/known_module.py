"""A module that lets several steps run together, and trainings of it with a number of steps per execution."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

from lightning_app.checkpointing.exact_resume import ExactResume
from lightning_app.trainer.run_trainer import RunTrainer
from lightning_app.trainer.step_hooks import StepHooks
from lightning_app.trainer.step_loop import StepLoop


class Rows(Logger):
    """Keeps what is logged, with its step."""

    name = version = "rows"  # type: ignore[assignment]  # properties in the base class

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.rows.append((step, dict(metrics)))

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Not compared."""


class Known(pl.LightningModule):
    """Random numbers, statistics of batches, and values logged in some steps: all that an order of steps can change."""

    def __init__(self, optimizers: Callable[[nn.Module], Any] | None = None) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.layers = nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 1))
        self.optimizers_of = optimizers or momentum

    def batches_without_hooks(self, batch_idx: int) -> float:
        return float("inf")

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        noise = torch.rand(()) if batch_idx % 2 else torch.zeros(())
        loss: Tensor = (self.layers(batch[0]) - batch[1] + noise).float().square().mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        if batch_idx % 3 == 0:
            self.log("sometimes", loss)
        return loss

    def validation_step(self, batch: list[Tensor]) -> None:
        self.log("val_loss", (self.layers(batch[0]) - batch[1]).float().square().mean())

    def configure_optimizers(self) -> Any:
        return self.optimizers_of(self)


def momentum(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)


def points(shuffle: bool = True, collate: Any = default_collate) -> DataLoader[Any]:
    """42 points in batches of four: eleven steps an epoch."""
    inputs = torch.rand(42, 3, generator=torch.Generator().manual_seed(3))
    data = TensorDataset(inputs, inputs.sum(1, keepdim=True))
    return DataLoader(data, batch_size=4, shuffle=shuffle, collate_fn=collate)


class Counts(StepHooks, pl.Callback):
    """Counts the batches with Lightning's hooks and those without."""

    def __init__(self) -> None:
        self.plain = self.hooked = 0

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: Tensor | None) -> None:
        self.plain += 1

    def on_train_batch_end(self, *_: Any) -> None:
        self.hooked += 1


class Fitted:
    """A finished training: its Trainer, the rows that it logged, its checkpoint, and how many batches were plain."""

    def __init__(
        self, model: pl.LightningModule, steps: int | None, folder: Path, resume: Path | None = None, **settings: Any
    ) -> None:
        pl.seed_everything(7)
        logged, self.counts = Rows(), Counts()
        callbacks = [make(folder) for make in settings.pop("callbacks", [])]
        collate = settings.pop("collate", default_collate)
        defaults = {"max_epochs": 3, "log_every_n_steps": 5, "num_sanity_val_steps": 0, "enable_checkpointing": False}
        if any(isinstance(callback, pl.callbacks.ModelCheckpoint) for callback in callbacks):
            defaults["enable_checkpointing"] = True
        shown = {"enable_progress_bar": False, "enable_model_summary": False}
        self.trainer = RunTrainer(
            accelerator="cpu",
            devices=1,
            logger=logged,
            default_root_dir=folder,
            callbacks=[ExactResume(), *callbacks, self.counts],
            **shown | defaults | settings,
        )
        StepLoop.install(self.trainer, steps)
        self.trainer.fit(model, points(collate=collate), points(shuffle=False), ckpt_path=resume, weights_only=True)
        self.rows = logged.rows
        path = folder / "end.ckpt"
        self.trainer.save_checkpoint(path)
        self.content = torch.load(path, weights_only=True)


def difference(one: Any, other: Any, where: str = "") -> str:
    """The first place at which two checkpoints differ in a bit; empty if they don't."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        alike = one.dtype == other.dtype and one.shape == other.shape
        as_bytes = [value.detach().contiguous().reshape(-1).view(torch.uint8) for value in (one, other)]
        return "" if alike and torch.equal(*as_bytes) else where
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() != other.keys():
            return f"{where}: {sorted(map(str, one.keys() ^ other.keys()))}"
        return next(filter(None, (difference(one[key], other[key], f"{where}/{key}") for key in one)), "")
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return f"{where}: lengths {len(one)} and {len(other)}"
        parts = (difference(a, b, f"{where}/{index}") for index, (a, b) in enumerate(zip(one, other, strict=True)))
        return next(filter(None, parts), "")
    return "" if type(one) is type(other) and (one == other or one != one) else f"{where}: {one!r}, {other!r}"
