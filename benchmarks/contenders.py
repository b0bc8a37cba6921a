"""The programs that this project is compared with: ``python -m benchmarks.contenders NAME ...`` runs one of them.

Each prints its training speed in images a second, from its first batch on; on a GPU, where there is one. ``limit``
with the environment variables ``RANK``, ``WORLD_SIZE``, ``MASTER_ADDR`` and ``MASTER_PORT`` is one process of a loop
with DDP, by NCCL if each process has a GPU.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAccuracy
from torchvision.datasets import CIFAR10
from torchvision.transforms import Compose, Normalize, ToTensor

from datamodules import CIFAR10DataModule
from lightning_app.distributed.strategy import ddp_options
from lightning_app.trainer.threads import limited_threads
from models.cifar_net import CifarNet

Batch = tuple[Tensor, Tensor]


def training_device() -> torch.device:
    """The GPU of this process, if each process of the program has one; as Lightning's ``auto`` for one process."""
    processes, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    return torch.device("cuda", rank) if torch.cuda.device_count() >= processes else torch.device("cpu")


class UncheckedCIFAR10(CIFAR10):  # type: ignore[misc]  # torchvision ships no types
    """Torchvision's dataset for generated or re-encoded files, whose MD5 sums differ from the official ones."""

    def _check_integrity(self) -> bool:
        return True

    def _load_meta(self) -> None:
        self.classes = [str(label) for label in range(10)]


class TutorialNet(nn.Module):
    """The network as it is in the tutorials."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(functional.relu(self.conv1(x)))
        x = self.pool(functional.relu(self.conv2(x)))
        x = x.view(-1, 16 * 5 * 5)
        x = functional.relu(self.fc1(x))
        x = functional.relu(self.fc2(x))
        logits: Tensor = self.fc3(x)
        return logits


def tutorial_loader(data_path: str, batch_size: int) -> DataLoader[Any]:
    transform = Compose([ToTensor(), Normalize((0.5,) * 3, (0.5,) * 3)])
    images = UncheckedCIFAR10(data_path, train=True, transform=transform)
    return DataLoader(images, batch_size=batch_size, shuffle=True, num_workers=2)


def tutorial(data_path: str, batch_size: int, steps: int) -> float:
    """The tutorials' training loop, with their dataset and two worker processes. Returns images a second."""
    network = TutorialNet().to(training_device())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)
    return _loop(tutorial_loader(data_path, batch_size), network, optimizer, steps, item_each_step=True)


def limit(data_path: str, batch_size: int, steps: int) -> float:
    """A plain loop over batches in memory, with this project's network, layout, optimizer. Returns images a second.

    Several processes exchange gradients by DDP, with this project's options; the images of all of them count.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    device = training_device()
    model = CifarNet().to(device)
    network: nn.Module = model.network
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, fused=True)
    data = CIFAR10DataModule(data_path, batch_size=batch_size)
    data.setup("fit")
    loaded = zip(range(min(steps, 64)), data.train_dataloader(), strict=False)
    batches = [(images.to(device), labels.to(device)) for _, (images, labels) in loaded]
    if processes > 1:
        torch.distributed.init_process_group("gloo" if device.type == "cpu" else "nccl")
        network = DistributedDataParallel(network, **ddp_options(model))
    with limited_threads(model, data):
        speed = _loop(_repeated(batches), network, optimizer, steps, item_each_step=False)
    if processes > 1:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return processes * speed


def usual_lightning(data_path: str, batch_size: int, steps: int) -> float:
    """A typical Lightning program: metrics logged each step, bar, checkpoints, CSV file. Returns images a second."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = pl.Trainer(
            accelerator=training_device().type,
            devices=1,
            max_epochs=-1,
            max_steps=steps,
            callbacks=[clock],
            logger=pl.loggers.CSVLogger(folder),
            default_root_dir=folder,
        )
        trainer.fit(UsualModule(), tutorial_loader(data_path, batch_size))
    return clock.images / clock.seconds


class UsualModule(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.network = TutorialNet()
        self.accuracy = MulticlassAccuracy(10)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss = functional.cross_entropy(logits, labels)
        self.accuracy(logits, labels)
        self.log("train_loss", loss, prog_bar=True)
        self.log("train_accuracy", self.accuracy, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.001, momentum=0.9)


class Clock(pl.Callback):
    """Counts images and seconds from the first batch on."""

    def __init__(self) -> None:
        self.images, self.started, self.ended = 0, 0.0, 0.0

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    def on_train_batch_start(
        self, trainer: pl.Trainer, module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        self.started = self.started or time.monotonic()
        self.images += len(batch[1])

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.ended = time.monotonic()


def _loop(
    batches: Any, network: nn.Module, optimizer: torch.optim.Optimizer, steps: int, item_each_step: bool
) -> float:
    criterion, device = nn.CrossEntropyLoss(), training_device()
    images_done, started, running_loss = 0, 0.0, 0.0
    for step, (images, labels) in enumerate(batches):
        started = started or time.monotonic()
        if images.device != device:
            images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(network(images), labels)
        loss.backward()
        optimizer.step()
        if item_each_step:
            running_loss += loss.item()
        images_done += len(labels)
        if step + 1 == steps:
            break
    if device.type == "cuda":
        torch.cuda.synchronize()
    return images_done / (time.monotonic() - started)


def _repeated(batches: list[Batch]) -> Iterator[Batch]:
    while True:
        yield from batches


CONTENDERS = {"tutorial": tutorial, "usual_lightning": usual_lightning, "limit": limit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CONTENDERS)
    parser.add_argument("--data_path", required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    arguments = parser.parse_args()
    print(CONTENDERS[arguments.name](arguments.data_path, arguments.batch_size, arguments.steps))


if __name__ == "__main__":
    main()
