"""The tutorials' training of two epochs with its accuracy after each: ``python -m benchmarks.tutorial_epochs``.

The last line is a JSON list of pairs: seconds since the start of the program, and the accuracy on the test images,
whose evaluation doesn't count.
"""

import time

_STARTED = time.time()  # before the imports, which are part of what a person waits for

import argparse  # noqa: E402
import json  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402
from torchvision.transforms import Compose, Normalize, ToTensor  # noqa: E402

from benchmarks.contenders import TutorialNet, UncheckedCIFAR10, training_device, tutorial_loader  # noqa: E402

EPOCHS, BATCH_SIZE = 2, 4


def train(data_path: str) -> list[tuple[float, float]]:
    loader = tutorial_loader(data_path, BATCH_SIZE)
    device = training_device()
    network, criterion = TutorialNet().to(device), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)
    curve, evaluation = [], 0.0
    for _ in range(EPOCHS):
        running_loss = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(network(images.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
        ended = time.time()
        curve.append((ended - _STARTED - evaluation, accuracy(network, data_path)))
        evaluation += time.time() - ended
    return curve


@torch.no_grad()
def accuracy(network: nn.Module, data_path: str) -> float:
    transform = Compose([ToTensor(), Normalize((0.5,) * 3, (0.5,) * 3)])
    loader: DataLoader[Any] = DataLoader(UncheckedCIFAR10(data_path, train=False, transform=transform), batch_size=500)
    device = training_device()
    correct = [(network(images.to(device)).argmax(1).cpu() == labels).sum() for images, labels in loader]
    return float(torch.stack(correct).sum()) / len(loader.dataset)  # type: ignore[arg-type]  # it has a length


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_path", required=True)
    torch.manual_seed(0)
    print(json.dumps(train(parser.parse_args().data_path)))
