"""What checkpoints cost: ``python -m benchmarks.checkpoint_cost``.

Steps a second with a checkpoint every 100 steps, beside the same training that saves at its end alone; and the seconds
from a command to the first step of a run that continues, beside those of a new run.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl

from benchmarks.tables import table

EVERY = 100  # steps
_CLOCK, _FIRST = "benchmarks.checkpoint_cost.TrainingClock", "benchmarks.start_up.FirstStep"


class TrainingClock(pl.Callback):
    """Prints the seconds of the training; it has no hook of a batch, for which steps would run one by one."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        print("seconds", time.perf_counter() - self._started, flush=True)


@dataclass(frozen=True)
class Network:
    """What is trained.

    Args:
        name: For the table.
        flags: Of ``fit``.
        steps: Optimizer steps of a measurement.
        stopped: The step, within an epoch, from which a run continues.
    """

    name: str
    flags: tuple[str, ...]
    steps: int
    stopped: int


NETWORKS = (
    Network("CIFAR Net, batch 4", (), 10_000, 1_300),
    Network(
        "ResNet-18, all weights, batch 16",
        (
            *("--model", "ResNetTransfer", "--model.weights", "none", "--model.freeze_backbone", "false"),
            *("--data", "CIFAR10DataModule", "--batch_size", "16"),
        ),
        *(200, 30),
    ),
)


def fit(network: Network, folder: Path, *more: str) -> str:
    """What the command prints; in a folder of its own."""
    command = [sys.executable, "-m", "lightning_app.fit", *network.flags, "--trainer.limit_test_batches", "0"]
    done = subprocess.run([*command, *more], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join([*command, *more])}: {done.stderr}")
    return done.stdout


def seconds_of_training(network: Network, data: Sequence[str], every: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        limit = ("--trainer.max_steps", str(network.steps), "--trainer.limit_val_batches", "0")
        out = fit(network, Path(folder), *data, *limit, "--checkpoint_every", every, "--trainer.callbacks", _CLOCK)
        return float(_after("seconds", out))


def seconds_to_first_step(network: Network, data: Sequence[str], steps: int, stopped: Path | None) -> float:
    with tempfile.TemporaryDirectory() as folder:
        if stopped is not None:
            shutil.copytree(stopped, folder, dirs_exist_ok=True)
        limit = ("--trainer.max_steps", str(steps), "--trainer.limit_val_batches", "0")
        started = time.time()
        out = fit(network, Path(folder), *data, *limit, "--trainer.callbacks", _FIRST)
        if stopped is not None and f"and {steps - 1:,} steps." not in out:
            raise SystemExit(f"it doesn't continue after {steps - 1} steps: {out[:500]}")
        return float(_after("reached", out)) - started


def ratios(one: Callable[[], float], other: Callable[[], float], rounds: int) -> list[tuple[float, float]]:
    """The seconds of both in each round, in turns, so that neither always comes first."""
    found = []
    for number in range(rounds):
        pair = [one, other] if number % 2 == 0 else [other, one]
        first, second = (measure() for measure in pair)
        found.append((first, second) if number % 2 == 0 else (second, first))
    return found


def measure(network: Network, data: Sequence[str], rounds: int) -> list[str]:
    """A row of the table."""
    saving = ratios(
        lambda: seconds_of_training(network, data, "24h"),
        lambda: seconds_of_training(network, data, str(EVERY)),
        rounds,
    )
    with tempfile.TemporaryDirectory() as folder:
        stopped = Path(folder)
        limit = ("--trainer.max_steps", str(network.stopped), "--trainer.limit_val_batches", "0")
        fit(network, stopped, *data, *limit, "--trainer.callbacks", _FIRST)  # with other callbacks it is another run
        starting = ratios(
            lambda: seconds_to_first_step(network, data, network.stopped + 1, stopped),
            lambda: seconds_to_first_step(network, data, 1, None),
            rounds,
        )
    steps = statistics.median(network.steps / without for without, _ in saving)
    fresh = statistics.median(new for _, new in starting)
    return [
        network.name,
        f"{steps:,.0f}",
        _spread([without / saved for without, saved in saving]),
        f"{fresh:.2f} s",
        _spread([continued / new for continued, new in starting]),
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _after(word: str, out: str) -> str:
    return next(line.split()[1] for line in out.splitlines() if line.startswith(f"{word} "))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_path", help="folder with CIFAR-10 (default: generated images)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of each measurement (default: 5)")
    options = parser.parse_args()
    data = ("--data_path", str(Path(options.data_path).resolve())) if options.data_path else ()
    columns = ["steps/s", f"with a save every {EVERY}", "to the first step", "continued"]
    rows = []
    for network in NETWORKS:
        rows.append(measure(network, data, options.rounds))
        print(" | ".join(rows[-1]), flush=True)
    print(table(columns, rows))


if __name__ == "__main__":
    main()
