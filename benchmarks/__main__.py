"""All that is said about speed, measured in one run: ``python -m benchmarks``, or ``make bench``.

It prints tables and leaves, in a folder, these tables, all measurements as JSON, and a picture.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks import picture, start_up, throughput, time_to_accuracy, transfer
from datamodules import generated

ROOT = Path(__file__).parent.parent
PARTS = ("speed", "start_up", "accuracy", "transfer")


@dataclass
class Report:
    """What has been measured so far; each part is written as soon as it is there."""

    folder: Path
    measured: dict[str, Any] = field(default_factory=dict)
    text: str = ""

    def add(self, part: str, title: str, measured: Any, table: str) -> None:
        self.measured[part] = measured
        self.text += f"## {title}\n\n{table}\n\n"
        (self.folder / "benchmarks.json").write_text(json.dumps(self.measured, indent=1))
        (self.folder / "benchmarks.md").write_text(self.text)
        print(f"\n{title}\n\n{table}\n", flush=True)


def machine() -> dict[str, str]:
    return {
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": pl.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def measure(arguments: argparse.Namespace) -> Report:
    data_path = str(Path(arguments.data_path or generated.cifar10_folder()).resolve())
    arguments.output.mkdir(parents=True, exist_ok=True)
    report, rounds = Report(arguments.output), arguments.rounds
    about = machine() | {"data": "real CIFAR-10" if arguments.data_path else "generated images", "rounds": str(rounds)}
    report.add("machine", "Machine", about, "\n".join(f"- {name}: {value}" for name, value in about.items()))
    speed = accuracy = None
    if "speed" in arguments.parts:
        speed = throughput.measure_all(data_path, rounds)
        report.add(
            "speed", "Images a second (times as fast this project is: median; range)", speed, throughput.table(speed)
        )
    if "start_up" in arguments.parts:
        seconds = start_up.measure_all(data_path, rounds)
        report.add("start_up", "Start-up", seconds, start_up.table(seconds))
    if "accuracy" in arguments.parts:
        programs = [name for name in time_to_accuracy.PROGRAMS if arguments.long or name != time_to_accuracy.RESNET]
        accuracy = time_to_accuracy.measure_all(data_path, min(rounds, 3), programs, arguments.precision)
        as_json = time_to_accuracy.as_json(accuracy)
        report.add("accuracy", "Time to accuracy", as_json, time_to_accuracy.table(accuracy))
    if speed or accuracy:  # before the part that takes longest
        picture.draw(arguments.output / "benchmarks.svg", speed, accuracy)
    if "transfer" in arguments.parts:
        photos = str(Path(arguments.photos or generated.image_folder()).resolve())
        weights = arguments.weights if arguments.weights == "none" else str(Path(arguments.weights).resolve())
        runs = transfer.measure_all(
            argparse.Namespace(
                data_path=photos, weights=weights, epochs=arguments.transfer_epochs, rounds=rounds, json=None
            )
        )
        title = f"A frozen ResNet-18, {arguments.transfer_epochs} epochs"
        report.add("transfer", title, transfer.as_json(runs), transfer.table(runs))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--data_path", help="folder with CIFAR-10; without it, images are generated")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run; accuracy at most 3 (default: 5)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument("--long", action="store_true", help="accuracy: cifar_resnet as well, ten minutes a round")
    parser.add_argument("--precision", default="32-true", help="of cifar_resnet, such as bf16-mixed (default: 32-true)")
    parser.add_argument("--photos", help="transfer: folder with train/ and val/; without it, images are generated")
    parser.add_argument("--weights", default="none", help="transfer: file of a ResNet-18's weights (default: random)")
    parser.add_argument("--transfer_epochs", type=int, default=25, help="transfer: epochs of a run (default: 25)")
    parser.add_argument("--output", type=Path, default=Path("outputs/benchmarks"), help="folder (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected at least 1")
    report = measure(arguments)
    print(f"Left in {report.folder}: {', '.join(sorted(path.name for path in report.folder.iterdir()))}")


if __name__ == "__main__":
    main()
