"""Training speed of this project and of other programs, in images a second: ``python -m benchmarks.throughput``.

Each round runs all programs on the same machine, so that the runs of a ratio are close in time. This project runs with
its command line and its defaults.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from datamodules import generated

ROOT = Path(__file__).parent.parent
THIS_PROJECT = "this project"
NAMES = {
    "tutorial": "(a) the tutorials' own loop",
    "usual_lightning": "(b) the usual Lightning program",
    THIS_PROJECT: "(c) this project",
    "limit": "(d) the limit: a bare loop, batches ready in memory",
}
STEPS = {4: 3000, 128: 390}  # by batch size


def measure(name: str, data_path: str, batch_size: int) -> float:
    """The speed of one run in a process of its own, in images a second."""
    steps = STEPS[batch_size]
    flags = ["--data_path", data_path, "--batch_size", str(batch_size)]
    with tempfile.TemporaryDirectory() as folder:
        if name == THIS_PROJECT:
            command = ["-m", "lightning_app.fit", *flags, "--num_epochs", "1", "--output_dir", f"{folder}/outputs"]
            command += ["--trainer.limit_train_batches", str(steps), "--trainer.limit_test_batches", "0"]
        else:
            command = ["-m", "benchmarks.contenders", name, *flags, "--steps", str(steps)]
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, env=_environment(), capture_output=True, text=True, check=True
        )
    if name == THIS_PROJECT:
        speed = re.search(r"Trained ([\d,]+) images a second", done.stdout)
        assert speed, done.stdout
        return float(speed[1].replace(",", ""))
    return float(done.stdout.split()[-1])


def table(results: dict[int, dict[str, list[float]]]) -> str:
    """Medians of images a second, and the median over the rounds of each ratio."""
    lines = ["| images a second (ratio of (c) to it) | " + " | ".join(f"batch size {size}" for size in results) + " |"]
    lines.append("|---|" + "---|" * len(results))
    for name, title in NAMES.items():
        cells = []
        for rounds in results.values():
            ratio = statistics.median(
                this / other for this, other in zip(rounds[THIS_PROJECT], rounds[name], strict=True)
            )
            text = f"{statistics.median(rounds[name]):,.0f}"
            cells.append(text if name == THIS_PROJECT else f"{text} ({ratio:.2f})")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_path", help="folder with CIFAR-10; without it, images are generated")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run (default: 3)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected at least 1")
    data_path = str(Path(arguments.data_path or generated.cifar10_folder()).resolve())
    results: dict[int, dict[str, list[float]]] = {size: {name: [] for name in NAMES} for size in STEPS}
    for number in range(arguments.rounds):
        for size, rounds in results.items():
            for name in NAMES:
                rounds[name].append(measure(name, data_path, size))
                print(f"round {number + 1}, batch size {size}: {NAMES[name]}: {rounds[name][-1]:,.0f}", flush=True)
    print(
        f"\nMedian of {arguments.rounds} rounds on {'real CIFAR-10' if arguments.data_path else 'generated images'}:\n"
    )
    print(table(results))


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    main()
