"""Training speed of this project and of other programs, in images a second: ``python -m benchmarks.throughput``.

Each round runs all programs on the same machine, so that the runs of a ratio are close in time. This project runs with
its command line and its defaults.
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.tables import markdown
from datamodules import generated

ROOT = Path(__file__).parent.parent
THIS_PROJECT, LIMIT = "this project", "limit"
NAMES = {
    "tutorial": "(a) the tutorials' own loop",
    "usual_lightning": "(b) the usual Lightning program",
    THIS_PROJECT: "(c) this project",
    LIMIT: "(d) the limit: a bare loop, batches ready in memory",
}


@dataclass(frozen=True)
class Setting:
    """What is trained in a round.

    Args:
        title: What the table calls it.
        batch_size: Images per step and process.
        steps: Steps of the fast programs, which are this project and the limit.
        slow_steps: Steps of the others.
        processes: How many train together; with more than one, only the fast programs are compared.
    """

    title: str
    batch_size: int
    steps: int
    slow_steps: int
    processes: int = 1

    @property
    def programs(self) -> tuple[str, ...]:
        return tuple(NAMES) if self.processes == 1 else (THIS_PROJECT, LIMIT)


SETTINGS = (
    Setting("batch 4", 4, steps=6000, slow_steps=3000),
    Setting("batch 128", 128, steps=1950, slow_steps=390),  # five epochs, whose ends count as well
    Setting("batch 512", 512, steps=490, slow_steps=97),
    Setting("2 processes, batch 128", 128, steps=975, slow_steps=0, processes=2),
)

Results = dict[str, dict[str, list[float]]]
"""Images a second in each round, by the title of the setting and by program."""


def measure(program: str, data_path: str, setting: Setting) -> float:
    """The speed of one run, in processes of its own, in images a second."""
    flags = ["--data_path", data_path, "--batch_size", str(setting.batch_size)]
    with tempfile.TemporaryDirectory() as folder:
        if program == THIS_PROJECT:
            return _this_project(flags, setting, folder)
        steps = setting.steps if program == LIMIT else setting.slow_steps
        command = [sys.executable, "-m", "benchmarks.contenders", program, *flags, "--steps", str(steps)]
        started = [
            subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for environment in _environments(setting.processes)
        ]
        outputs = [process.communicate() for process in started]
    for process, (_, error) in zip(started, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{error}")
    return float(outputs[0][0].split()[-1])


def _this_project(flags: Sequence[str], setting: Setting, folder: str) -> float:
    command = [sys.executable, "-m", "lightning_app.fit", *flags, "--trainer.max_steps", str(setting.steps)]
    command += ["--num_epochs", "1000", "--trainer.limit_test_batches", "0"]
    if setting.processes > 1:
        has_gpus = torch.cuda.device_count() >= setting.processes
        command += ["--trainer.accelerator", "gpu" if has_gpus else "cpu", "--trainer.devices", str(setting.processes)]
    environment = _environments(1)[0] | ({"OMP_NUM_THREADS": "1"} if setting.processes > 1 else {})
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    speed = re.search(r"Trained ([\d,]+) images a second", done.stdout)
    if done.returncode or speed is None:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return float(speed[1].replace(",", ""))


def measure_all(data_path: str, rounds: int) -> Results:
    results: Results = {s.title: {program: [] for program in s.programs} for s in SETTINGS}
    for number in range(rounds):
        for setting in SETTINGS:
            for program in setting.programs:
                speed = measure(program, data_path, setting)
                results[setting.title][program].append(speed)
                print(f"round {number + 1}, {setting.title}: {NAMES[program]}: {speed:,.0f}", flush=True)
    return results


def ratios(rounds: Mapping[str, Sequence[float]], program: str) -> list[float]:
    """How many times as fast this project is as a program, in each round."""
    return [ours / theirs for ours, theirs in zip(rounds[THIS_PROJECT], rounds[program], strict=True)]


def table(results: Results) -> str:
    """Medians of images a second; in brackets the median over the rounds of (c)'s ratio to it, and the range."""
    rows = []
    for program, title in NAMES.items():
        cells = []
        for rounds in results.values():
            if program not in rounds:
                cells.append("")
                continue
            found = ratios(rounds, program)
            spread = f"({statistics.median(found):.2f}; {min(found):.2f} to {max(found):.2f})"
            cells.append(
                f"{statistics.median(rounds[program]):,.0f} {spread if program != THIS_PROJECT else ''}".strip()
            )
        rows.append([title, *cells])
    return markdown(list(results), rows)


def _environments(processes: int) -> list[dict[str, str]]:
    """The variables of each process of a program."""
    base = os.environ | {"PYTHONPATH": str(ROOT)}
    if processes == 1:
        return [base]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = base | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [shared | {"RANK": str(rank), "WORLD_SIZE": str(processes)} for rank in range(processes)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--data_path", help="folder with CIFAR-10; without it, images are generated")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is run (default: 5)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected at least 1")
    data_path = str(Path(arguments.data_path or generated.cifar10_folder()).resolve())
    print(f"\n{table(measure_all(data_path, arguments.rounds))}")


if __name__ == "__main__":
    main()
