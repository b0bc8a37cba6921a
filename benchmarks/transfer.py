"""Transfer learning with a ResNet-18, beside the transfer learning tutorial: ``python -m benchmarks.transfer``.

The backbone is frozen, or with ``--finetune`` trained as well.

Each round runs all programs with the same seed, so that the runs of a ratio are close in time. Every run is a process
of its own and begins without features of an earlier one, except the row that says otherwise.
"""

import argparse
import copy
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import (
    CenterCrop,
    Compose,
    Normalize,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ToTensor,
)

from benchmarks.contenders import training_device
from benchmarks.tables import markdown
from benchmarks.throughput import ROOT
from datamodules import generated
from datamodules.image_folder import IMAGENET_MEAN, IMAGENET_STD
from models.backbone_weights import load_backbone

BATCH_SIZE, WORKERS = 4, 2
TUTORIAL = "tutorial"
Programs = dict[str, tuple[str, tuple[str, ...]]]
"""By name, a title and flags."""

PROGRAMS: Programs = {
    TUTORIAL: ("the tutorial's loop", ()),
    "float32": ("this project", ()),
    "bf16": ("this project, features in bfloat16", ("--model.bf16_features", "true")),
    "found": ("this project, features of an earlier run", ()),
    "each_step": ("this project, backbone at each step", ("--model.feature_views", "0")),
}
FINE_TUNING: Programs = {
    TUTORIAL: ("the tutorial's loop", ("--finetune",)),
    "fine_tuned": ("this project", ("--model.freeze_backbone", "false")),
}


@dataclass(frozen=True)
class Run:
    """One run of one program.

    Args:
        seconds: From the start of training to its end.
        process_seconds: The whole process: imports, data, training.
        cpu_seconds: Processor time of the process and its workers.
        best: The best accuracy of a validation.
        last: The accuracy of the last one.
    """

    seconds: float
    process_seconds: float
    cpu_seconds: float
    best: float
    last: float


def tutorial(data_path: str, weights: str, epochs: int, seed: int, finetune: bool) -> dict[str, float]:
    """The tutorial's training, by default of the head only: its loop, transforms, schedule, and copy of the best."""
    torch.manual_seed(seed)
    loaders = _tutorial_loaders(data_path)
    network = torchvision.models.resnet18(weights=None)
    if weights != "none":
        load_backbone(network, Path(weights), architecture="resnet18", head="fc")
    for parameter in network.parameters():
        parameter.requires_grad = finetune
    network.fc = nn.Linear(network.fc.in_features, 2)
    device = training_device()
    network.to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD((network if finetune else network.fc).parameters(), lr=0.001, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 7, 0.1)
    started, best, accuracy = time.monotonic(), 0.0, 0.0
    best_weights = copy.deepcopy(network.state_dict())
    for _ in range(epochs):
        for phase in ("train", "val"):
            network.train(phase == "train")
            running_loss, correct, count = 0.0, 0, 0
            for batch in loaders[phase]:
                images, labels = (part.to(device) for part in batch)
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = network(images)
                    predicted = outputs.argmax(1)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * len(labels)
                correct += int((predicted == labels).sum())
                count += len(labels)
            if phase == "train":
                schedule.step()
            else:
                accuracy = correct / count
                if accuracy > best:
                    best, best_weights = accuracy, copy.deepcopy(network.state_dict())
    seconds = time.monotonic() - started
    network.load_state_dict(best_weights)
    return {"seconds": seconds, "best": best, "last": accuracy}


def _tutorial_loaders(data_path: str) -> dict[str, DataLoader[Any]]:
    as_tensor = [ToTensor(), Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    transforms = {
        "train": Compose([RandomResizedCrop(224), RandomHorizontalFlip(), *as_tensor]),
        "val": Compose([Resize(256), CenterCrop(224), *as_tensor]),
    }
    return {
        split: DataLoader(
            ImageFolder(str(Path(data_path) / split), transform),
            batch_size=BATCH_SIZE,
            shuffle=True,
            num_workers=WORKERS,
        )
        for split, transform in transforms.items()
    }


def run(program: str, flags: Sequence[str], arguments: argparse.Namespace, seed: int, cache: Path) -> Run:
    """One run in a process of its own, with temporary files in ``cache``."""
    with tempfile.TemporaryDirectory() as folder:
        if program == TUTORIAL:
            command = ["-m", "benchmarks.transfer", "--tutorial", "--seed", str(seed), "--data_path"]
            command += [arguments.data_path, "--weights", arguments.weights, "--epochs", str(arguments.epochs)]
            command += flags
        else:
            command = ["-m", "lightning_app.fit", "--model", "ResNetTransfer", "--model.weights", arguments.weights]
            command += ["--data_path", arguments.data_path, "--batch_size", str(BATCH_SIZE), "--seed", str(seed)]
            command += ["--num_workers", str(WORKERS), "--num_epochs", str(arguments.epochs), *flags]
            command += ["--output_dir", f"{folder}/outputs"]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(cache)},
        )  # fmt: skip
        used, process_seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - started
        cpu_seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        if program == TUTORIAL:
            return Run(process_seconds=process_seconds, cpu_seconds=cpu_seconds, **json.loads(done.stdout))
        return Run(_seconds(done.stdout), process_seconds, cpu_seconds, *_accuracies(Path(folder) / "outputs"))


def _seconds(output: str) -> float:
    line = re.search(r"^Time: +(?:(\d+) min )?(\d+) s", output, re.MULTILINE)
    assert line, output
    return 60 * int(line[1] or 0) + int(line[2])


def _accuracies(folder: Path) -> tuple[float, float]:
    rows = [json.loads(line)["metrics"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    values = [row["val_accuracy"] for row in rows if "val_accuracy" in row]
    return max(values), values[-1]


def measure_all(arguments: argparse.Namespace, programs: Programs = PROGRAMS) -> dict[str, list[Run]]:
    """The runs of each program, one in a round; ``arguments`` are those of the command line, with absolute paths."""
    results: dict[str, list[Run]] = {program: [] for program in programs}
    for seed in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as cache:
            for program, runs in results.items():
                folder = Path(cache) / ("float32" if program == "found" else program)  # after it, with its features
                folder.mkdir(exist_ok=True)
                runs.append(run(program, programs[program][1], arguments, seed, folder))
                print(f"round {seed + 1}: {programs[program][0]}: {runs[-1]}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(as_json(results), indent=1))
    return results


def as_json(results: dict[str, list[Run]]) -> dict[str, list[dict[str, Any]]]:
    return {program: [asdict(run) for run in runs] for program, runs in results.items()}


def table(results: dict[str, list[Run]], programs: Programs = PROGRAMS) -> str:
    """Medians; ratios are medians over the rounds, with the smallest and the largest; accuracies are means."""
    columns = ["seconds", "times as fast", "whole process, s", "times as fast", "processor, s", "times as little"]
    rows = []
    for program, runs in results.items():
        cells = [programs[program][0]]
        for name in ("seconds", "process_seconds", "cpu_seconds"):
            values = [getattr(run, name) for run in runs]
            ratios = [getattr(first, name) / value for first, value in zip(results[TUTORIAL], values, strict=True)]
            spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
            cells += [f"{statistics.median(values):.0f}", "" if program == TUTORIAL else spread]
        for name in ("best", "last"):
            accuracies = [getattr(run, name) for run in runs]
            spread = f" ± {statistics.stdev(accuracies):.3f}" if len(runs) > 1 else ""
            cells.append(f"{statistics.mean(accuracies):.3f}{spread}")
        rows.append(cells)
    return markdown([*columns, "best accuracy", "last accuracy"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_path", help="folder with train/ and val/; without it, images are generated")
    parser.add_argument("--weights", default="none", help="file with the weights of a ResNet-18 (default: random)")
    parser.add_argument("--epochs", type=int, default=25, help="epochs of a run (default: 25)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each with a seed of its own (default: 5)")
    parser.add_argument("--finetune", action="store_true", help="train the whole network, not only its head")
    parser.add_argument("--programs", nargs="+", metavar="NAME", help="only these, and the tutorial's loop")
    parser.add_argument("--json", type=Path, help="file for all measurements")
    parser.add_argument("--tutorial", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected at least 1")
    arguments.data_path = str(Path(arguments.data_path or generated.image_folder()).resolve())
    if arguments.weights != "none":
        arguments.weights = str(Path(arguments.weights).resolve())
    if arguments.tutorial:
        result = tutorial(arguments.data_path, arguments.weights, arguments.epochs, arguments.seed, arguments.finetune)
        print(json.dumps(result))
        return
    programs = FINE_TUNING if arguments.finetune else PROGRAMS
    chosen = set(arguments.programs or programs)
    if unknown := chosen - set(programs):
        parser.error(f"--programs {' '.join(sorted(unknown))}: expected some of {', '.join(programs)}")
    programs = {name: program for name, program in programs.items() if name in chosen | {TUTORIAL}}
    results = measure_all(arguments, programs)
    kind = "fine-tuned" if arguments.finetune else "frozen"
    threads = torch.get_num_threads()
    print(f"\nResNet-18, {kind}, {arguments.epochs} epochs, {arguments.rounds} rounds, {threads} threads:\n")
    print(table(results, programs))


if __name__ == "__main__":
    main()
