"""Control scripts of azureml-core: what they begin with, and the training scripts that they send, which are small."""

import importlib.util
import json
from typing import Any

import pytest

from tests.support.workspaces import LoggedIn

HAS_DATASETS = importlib.util.find_spec("azureml.dataprep") is not None
NEEDS_DATASETS = pytest.mark.skipif(not HAS_DATASETS, reason="the extra 'datasets' isn't installed")
IMPORTS = """
import json, os
from azureml.core import Dataset, Datastore, Environment, Experiment, Model, Run, ScriptRunConfig, Workspace

ws = Workspace.from_config()
"""


def result(user: LoggedIn, script: str) -> Any:
    """The last line that a script prints, which is JSON."""
    return json.loads(user.script(IMPORTS + script).splitlines()[-1])


CIFAR10 = b'''
import argparse, os
import torch, torchvision
from azureml.core import Run
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--data_path")
parser.add_argument("--learning_rate", type=float, default=0.01)
parser.add_argument("--momentum", type=float, default=0.9)
options = parser.parse_args()
print("files", os.listdir(options.data_path), flush=True)

class Files(torchvision.datasets.CIFAR10):
    """Images of the test, whose checksums aren't those of the official archive."""
    train_list = [[name, None] for name, _ in torchvision.datasets.CIFAR10.train_list]
    test_list = [[name, None] for name, _ in torchvision.datasets.CIFAR10.test_list]
    meta = {**torchvision.datasets.CIFAR10.meta, "md5": None}

run = Run.get_context()
images = Files(options.data_path, download=False, transform=torchvision.transforms.ToTensor())
loader = torch.utils.data.DataLoader(images, batch_size=4, shuffle=True, num_workers=2)
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(6 * 7 * 7, 10))
optimizer = torch.optim.SGD(net.parameters(), lr=options.learning_rate, momentum=options.momentum)
for epoch in range(2):
    total = 0.0
    for inputs, labels in loader:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(inputs), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
    run.log("loss", total / len(loader))
print("Finished Training")
'''

IMAGES = b"""
import argparse, copy, os
import torch, torchvision
from azureml.core.run import Run
from torchvision import transforms

parser = argparse.ArgumentParser()
parser.add_argument("--num_epochs", type=int)
parser.add_argument("--output_dir")
parser.add_argument("--images")
options = parser.parse_args()
run = Run.get_context()
small = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])
parts = {name: torchvision.datasets.ImageFolder(os.path.join(options.images, name), small) for name in ("train", "val")}
loaders = {name: torch.utils.data.DataLoader(part, batch_size=4, shuffle=True) for name, part in parts.items()}
model = torchvision.models.resnet18(weights=None)
model.fc = torch.nn.Linear(model.fc.in_features, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
best, weights = 0.0, model.state_dict()
for epoch in range(options.num_epochs):
    for name, loader in loaders.items():
        model.train(name == "train")
        right = 0
        for inputs, labels in loader:
            with torch.set_grad_enabled(name == "train"):
                outputs = model(inputs)
                if name == "train":
                    optimizer.zero_grad()
                    torch.nn.functional.cross_entropy(outputs, labels).backward()
                    optimizer.step()
            right += int((outputs.argmax(1) == labels).sum())
    if right / len(parts["val"]) >= best:
        best, weights = right / len(parts["val"]), copy.deepcopy(model.state_dict())
    run.log("best_val_acc", float(best))
os.makedirs(options.output_dir, exist_ok=True)
torch.save(weights, os.path.join(options.output_dir, "model.pt"))
"""

DISTRIBUTED = b"""
import argparse, os
import torch
from azureml.core import Run
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
options = parser.parse_args()
if "OMPI_COMM_WORLD_RANK" in os.environ:  # mpirun's own names, which torch doesn't read
    os.environ["RANK"] = os.environ["OMPI_COMM_WORLD_RANK"]
    os.environ["WORLD_SIZE"] = os.environ["OMPI_COMM_WORLD_SIZE"]
    os.environ["MASTER_ADDR"], _, os.environ["MASTER_PORT"] = os.environ["AZ_BATCH_MASTER_NODE"].partition(":")
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
torch.manual_seed(rank)
numbers = torch.arange(64, dtype=torch.float32).reshape(64, 1) / 64
data = TensorDataset(numbers, 3 * numbers + 1)
sampler = DistributedSampler(data)
model = DistributedDataParallel(torch.nn.Linear(1, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = Run.get_context()
for epoch in range(options.epochs):
    sampler.set_epoch(epoch)
    for inputs, targets in DataLoader(data, batch_size=4, sampler=sampler):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(inputs), targets)
        loss.backward()
        optimizer.step()
    if rank == 0:
        run.log("loss", loss.item())
print("weights", [round(parameter.item(), 6) for parameter in model.parameters()])
torch.distributed.destroy_process_group()
"""

SCORE = b"""
import argparse, json, os, pathlib
from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--data-folder", type=pathlib.Path)
parser.add_argument("--regularization", type=float)
parser.add_argument("--momentum", type=float, default=0.0)
options = parser.parse_args()
numbers = [float(line) for file in options.data_folder.rglob("*.csv") for line in file.read_text().split()]
rank, size = (os.environ.get("OMPI_COMM_WORLD_" + name, default) for name, default in (("RANK", "0"), ("SIZE", "1")))
run = Run.get_context()
if rank == "0":
    run.log("score", options.regularization * sum(numbers))
pathlib.Path("outputs").mkdir(exist_ok=True)
pathlib.Path("outputs/model.json").write_text(json.dumps(vars(options), default=str))
print(f"rank {rank} of {size}: {len(numbers)} numbers")
"""
