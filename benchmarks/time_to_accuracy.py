"""Accuracy over time, from the start of each program: ``python -m benchmarks.time_to_accuracy``.

The tutorial's loop of two epochs, the same settings here, and the recipes. Data should be CIFAR-10: ``--data_path``.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path

from benchmarks.tables import markdown
from datamodules import generated

ROOT = Path(__file__).parent.parent
VALIDATION = 5000  # images that this project leaves out of the training for the curve
TUTORIAL = "the tutorials' loop"
RESNET = "recipe cifar_resnet"
PROGRAMS: Mapping[str, Sequence[str]] = {  # and this project's flags
    TUTORIAL: (),
    "this project, the tutorials' settings": (),
    "recipe cifar_net": ("--recipe", "cifar_net"),
    "recipe cifar_net, 15 epochs": ("--recipe", "cifar_net", "--num_epochs", "15"),
    RESNET: ("--recipe", "cifar_resnet"),
}


@dataclass(frozen=True)
class Run:
    """One run of one program.

    Args:
        seconds: Of the whole program: imports, test, charts and report included.
        accuracy: On the test images.
        curve: Seconds since the start of the program, and the accuracy on images that aren't trained on.
    """

    seconds: float
    accuracy: float
    curve: list[tuple[float, float]]

    @property
    def trained_after(self) -> float:
        """Seconds from the start of the program until the last epoch has ended and its accuracy is known."""
        return self.curve[-1][0]


Results = dict[str, list[Run]]


def run(program: str, data_path: str, seed: int, precision: str) -> Run:
    if program == TUTORIAL:
        done, started, ended = _finished(["-m", "benchmarks.tutorial_epochs", "--data_path", data_path])
        curve = json.loads(done.splitlines()[-1])
        return Run(ended - started, curve[-1][1], curve)
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--data_path", data_path, "--seed", str(seed), "--data.val_split", str(VALIDATION), *PROGRAMS[program]]
        flags += ["--trainer.precision", precision] if program == RESNET else []
        command = ["-m", "lightning_app.fit", *flags, "--output_dir", f"{folder}/outputs"]
        _, started, ended = _finished(command)
        lines = (Path(folder) / "outputs" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    curve = [
        (datetime.fromisoformat(row["time"]).timestamp() - started, row["metrics"]["val_accuracy"])
        for row in rows
        if "val_accuracy" in row["metrics"]
    ]
    return Run(ended - started, rows[-1]["metrics"]["test_accuracy"], curve)


def measure_all(data_path: str, rounds: int, programs: Sequence[str], precision: str) -> Results:
    results: Results = {program: [] for program in programs}
    for seed in range(rounds):
        for program in programs:
            found = run(program, data_path, seed, precision)
            results[program].append(found)
            print(f"round {seed + 1}: {program}: {found.accuracy:.4f} in {found.seconds:.1f} s", flush=True)
    return results


def _finished(command: list[str]) -> tuple[str, float, float]:
    """What a program has printed, and when it started and ended, in seconds since 1970."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.time()
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
        ended = time.time()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout, started, ended


def table(results: Results) -> str:
    """Means over the rounds, the range of the accuracy, and how many times as fast as the tutorials' loop."""
    rows = []
    for program, runs in results.items():
        accuracies = [found.accuracy for found in runs]
        cells = []
        for seconds in (attrgetter("trained_after"), attrgetter("seconds")):
            theirs, ours = map(seconds, results.get(TUTORIAL, runs)), list(map(seconds, runs))
            times = statistics.mean(slow / fast for slow, fast in zip(theirs, ours, strict=True))
            cells.append(f"{statistics.mean(ours):.1f}" + (f" ({times:.1f})" if TUTORIAL in results else ""))
        spread = f"{min(accuracies):.3f} to {max(accuracies):.3f}"
        rows.append([program, *cells, f"{statistics.mean(accuracies):.3f}", spread])
    return markdown(["seconds to the end of the training", "of the whole program", "test accuracy", "range"], rows)


def as_json(results: Results) -> dict[str, list[dict[str, object]]]:
    return {program: [asdict(found) for found in runs] for program, runs in results.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time_to_accuracy", description=__doc__)
    parser.add_argument("--data_path", help="folder with CIFAR-10; without it, images are generated")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run, with a seed each (default: 3)")
    parser.add_argument("--long", action="store_true", help=f"{RESNET}, too, which takes about ten minutes a round")
    parser.add_argument("--precision", default="32-true", help=f"of {RESNET}, such as bf16-mixed (default: 32-true)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected at least 1")
    data_path = str(Path(arguments.data_path or generated.cifar10_folder()).resolve())
    programs = [program for program in PROGRAMS if arguments.long or program != RESNET]
    print(f"\n{table(measure_all(data_path, arguments.rounds, programs, arguments.precision))}")


if __name__ == "__main__":
    main()
