"""Seconds from a command to its first training step: ``python -m benchmarks.start_up``.

The limit is a program that only imports torch, torchvision and Lightning with its command line, and reads the images.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from benchmarks.tables import markdown
from datamodules import generated

ROOT = Path(__file__).parent.parent
LIMIT, THIS_PROJECT, WHOLE = "imports and data alone", "to the first step", "to its end, with one step"
BARE = """
import sys, time, torch, torchvision, pytorch_lightning.cli
from pathlib import Path
from datamodules.cifar10_files import find_folder, read_split
for train in (True, False):
    read_split(find_folder(Path(sys.argv[1])), train=train, classes=10)
print("reached", time.time(), flush=True)
"""

Results = dict[str, list[float]]


class FirstStep(pl.Callback):
    """Prints when the first step has ended, in seconds since 1970."""

    def on_train_batch_end(self, *_: Any) -> None:
        print("reached", time.time(), flush=True)


def measure_all(data_path: str, rounds: int) -> Results:
    """Seconds of each in each round."""
    flags = ["--data_path", data_path, "--trainer.max_steps", "1", "--trainer.limit_test_batches", "0"]
    flags += ["--num_epochs", "1", "--trainer.callbacks", "benchmarks.start_up.FirstStep"]
    results: Results = {LIMIT: [], THIS_PROJECT: [], WHOLE: []}
    for number in range(rounds):
        results[LIMIT].append(_seconds(["-c", BARE, data_path])[0])
        reached, ended = _seconds(["-m", "lightning_app.fit", *flags])
        results[THIS_PROJECT].append(reached)
        results[WHOLE].append(ended)
        print(f"round {number + 1}: " + ", ".join(f"{name} {r[-1]:.2f}" for name, r in results.items()), flush=True)
    return results


def _seconds(command: list[str]) -> tuple[float, float]:
    """Until the line "reached" is printed, and until the program has ended."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.time()
        done = subprocess.run(
            [sys.executable, *command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        ended = time.time()
    reached = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("reached ")]
    if done.returncode or not reached:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return float(reached[0]) - started, ended - started


def table(results: Results) -> str:
    rows = []
    for name, seconds in results.items():
        found = [own / limit for own, limit in zip(seconds, results[LIMIT], strict=True)]
        spread = f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
        rows.append([name, f"{statistics.median(seconds):.2f}", spread if name != LIMIT else "1"])
    return markdown(["seconds", "ratio (range)"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_up", description=__doc__)
    parser.add_argument("--data_path", help="folder with CIFAR-10; without it, images are generated")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run (default: 5)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected at least 1")
    data_path = str(Path(arguments.data_path or generated.cifar10_folder()).resolve())
    print(f"\n{table(measure_all(data_path, arguments.rounds))}")


if __name__ == "__main__":
    main()
