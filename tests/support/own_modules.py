"""Models and data as users write them: what they save in a checkpoint differs."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset


def loader(level: float = 2.0) -> DataLoader[Any]:
    """Two classes of points, which any linear layer can separate after some steps."""
    labels = torch.arange(40) % 2
    points = (labels.float() * 2 - 1)[:, None].expand(-1, 3) * level
    return DataLoader(TensorDataset(points, labels), batch_size=10)


class Points(pl.LightningDataModule):
    """Saves no hyperparameters."""

    def __init__(self, level: float = 2.0) -> None:
        super().__init__()
        self.level = level

    def train_dataloader(self) -> DataLoader[Any]:
        return loader(self.level)

    def test_dataloader(self) -> DataLoader[Any]:
        return loader(self.level)


class LatePoints(Points):
    """Makes its test set when Lightning asks for it; there may be none."""

    def __init__(self, has_test: bool = True) -> None:
        super().__init__()
        self.has_test = has_test

    def setup(self, stage: str) -> None:
        if stage == "test":
            self.test_set = loader(self.level) if self.has_test else None

    def test_dataloader(self) -> DataLoader[Any] | None:  # type: ignore[override]  # as people write it
        return self.test_set


class FixedPoints(Points):
    """Has no parameters."""

    def __init__(self) -> None:
        super().__init__()


class SavedPoints(Points):
    """Saves its parameters and another value."""

    def __init__(self, level: float = 2.0) -> None:
        super().__init__(level)
        self.save_hyperparameters()
        self.save_hyperparameters({"count": 40})


class Unsaved(pl.LightningModule):
    """Saves no hyperparameters."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, width)

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return functional.cross_entropy(self.layer(batch[0]), batch[1])

    def test_step(self, batch: tuple[Tensor, Tensor]) -> None:
        self.log("level", batch[0].abs().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Fixed(Unsaved):
    """Has no parameters."""

    def __init__(self) -> None:
        super().__init__()


class Saved(Unsaved):
    """Saves its parameters and another value."""

    def __init__(self, width: int = 2) -> None:
        super().__init__(width)
        self.save_hyperparameters()
        self.save_hyperparameters({"parameters": 8})


class Keywords(Unsaved):
    """Takes any parameter."""

    def __init__(self, **settings: int) -> None:
        given = dict(settings)  # the parser would find out the name in settings["width"]
        super().__init__(given["width"])
        self.save_hyperparameters()


class WithLoaders(Unsaved):
    """Brings its own data."""

    def train_dataloader(self) -> DataLoader[Any]:
        return loader()

    def test_dataloader(self) -> DataLoader[Any]:
        return loader()
