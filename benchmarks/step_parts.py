"""Where the time of a small training step goes, inside of a training: ``python -m benchmarks.step_parts``.

A training of CIFAR Net, with all its defaults, stops after its first steps and runs several loops in turn, with its own
network, optimizer, loader and callbacks: from the bare loop to the steps as they are.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from benchmarks.tables import markdown
from benchmarks.throughput import ROOT
from lightning_app.trainer.plain_steps import PlainSteps
from lightning_app.trainer.step_hooks import StepHooks
from lightning_app.trainer.step_observers import observers

_READY = 64  # batches in memory
_FIRST = 100  # steps before it measures


class StepParts(StepHooks, pl.Callback):
    """Measures, prints a table, and ends the process.

    Args:
        steps: Of each loop in each round.
        rounds: In each of which all loops run.
    """

    def __init__(self, steps: int, rounds: int) -> None:
        self._steps, self._rounds = steps, rounds

    def batches_without_hooks(self, trainer: pl.Trainer, batch_idx: int) -> float:
        return _FIRST - batch_idx  # the next batch has hooks

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        loops = _loops(trainer)
        seconds: dict[str, list[float]] = {title: [] for title in loops}
        for _round in range(self._rounds):
            for title, run in loops.items():
                started = time.perf_counter()
                run(self._steps)
                seconds[title].append((time.perf_counter() - started) / self._steps)
        bare, *_others = seconds.values()
        rows = []
        for title, found in seconds.items():
            parts = [least / each for least, each in zip(bare, found, strict=True)]
            spread = f"{statistics.median(parts):.3f} ({min(parts):.2f} to {max(parts):.2f})"
            rows.append([title, f"{1e6 * statistics.median(found):,.0f}", spread])
        print(markdown(["microseconds a step", "speed of the bare loop"], rows), flush=True)
        raise SystemExit(0)


def _loops(trainer: pl.Trainer) -> dict[str, Callable[[int], None]]:
    model, optimizer = trainer.lightning_module, trainer.optimizers[0]
    loader: Any = trainer.train_dataloader
    ready = [batch for _, batch in zip(range(_READY), loader, strict=False)]
    epoch_loop = trainer.fit_loop.epoch_loop
    after = [each.after_plain_batch for each in observers(trainer)]
    network, criterion = model.network, nn.CrossEntropyLoss()
    assert isinstance(network, nn.Module)

    def bare(batches: Iterator[Any]) -> Callable[[int], None]:
        def run(steps: int) -> None:
            for _ in range(steps):
                images, labels = next(batches)
                optimizer.zero_grad()
                loss: Tensor = criterion(network(images), labels)
                loss.backward()
                optimizer.step()

        return run

    def plain(batches: Iterator[Any], called: list[Any]) -> Callable[[int], None]:
        return lambda steps: PlainSteps(epoch_loop, called).run(_Fetcher(batches), steps)  # type: ignore[arg-type]  # it has what is used

    return {
        "bare loop, batches ready in memory": bare(_forever(ready)),
        "bare loop, batches of the loader": bare(_forever(loader)),
        "plain steps, batches ready in memory": plain(_forever(ready), []),
        "the same with the callbacks": plain(_forever(ready), after),
        "the same with the loader: all of it": plain(_forever(loader), after),
    }


class _Fetcher:
    """What ``PlainSteps`` needs of Lightning's."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches

    def __next__(self) -> tuple[Any, int, int]:
        return next(self._batches), 0, 0


def _forever(batches: Any) -> Iterator[Any]:
    while True:
        yield from batches


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step_parts", description=__doc__)
    parser.add_argument("--data_path", help="folder with CIFAR-10; without it, images are generated")
    parser.add_argument("--batch_size", type=int, nargs="+", default=[4, 128], help="images per step (default: 4 128)")
    parser.add_argument("--rounds", type=int, default=7, help="how often each loop is run (default: 7)")
    arguments = parser.parse_args()
    for batch_size in arguments.batch_size:
        steps = max(20, 8000 // batch_size)
        print(f"\nbatch size {batch_size}:\n", flush=True)
        flags = ["--batch_size", str(batch_size), "--num_epochs", "100"]
        flags += [] if arguments.data_path is None else ["--data_path", arguments.data_path]
        flags += ["--trainer.callbacks", "benchmarks.step_parts.StepParts", "--trainer.callbacks.steps", str(steps)]
        flags += ["--trainer.callbacks.rounds", str(arguments.rounds)]
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "lightning_app.fit", *flags, "--output_dir", f"{folder}/outputs"]
            subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
