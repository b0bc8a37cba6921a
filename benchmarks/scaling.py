"""What a second process brings, and on paper what 8 to 128 GPUs would: ``python -m benchmarks.scaling``.

Two processes on two cores, a thread each, take turns with one process and with two that exchange nothing. What a step
with DDP takes longer than one beside the other process without it is the price of the exchange: the all-reduce
itself, waiting for the slower process, and DDP's own work.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from benchmarks import scaling_model
from benchmarks.scaling_worker import (
    ALONE,
    BESIDE,
    CASES,
    CIFAR_NET,
    EXCHANGE,
    FINE_TUNED,
    FROZEN,
    OPTIONS,
    PLAIN,
    SCALING,
    SMALL_CIFAR_NET,
    TOGETHER,
    Timed,
)
from benchmarks.tables import markdown

ROOT = Path(__file__).parent.parent
PROCESSES = 2
LONGEST_SECONDS = 1200

MEASURED = (
    "gradients",
    "1 process",
    "2, no exchange",
    "2 with DDP",
    "images a second",
    "for the exchange",
    "all-reduce",
)
NOTES = """\
Milliseconds a step, medians, each process with the batch that is named. images a second: of two processes, as a
multiple of those of one. for the exchange: share of a step with DDP, beyond the same step of two processes that
exchange nothing. all-reduce: of as many bytes, with nothing else to do."""
MODELLED = ("computation", *(f"{nodes} x {scaling_model.GPUS_A_NODE} GPUs" for nodes in scaling_model.NODES))


def measure(ways: Sequence[str], cases: Sequence[str], rounds: int, *further: str) -> list[Timed]:
    """Runs the processes; ``rounds`` is how often each way has its turn with each case."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "timed.json"
        command = [sys.executable, "-m", "benchmarks.scaling_worker", "--rounds", str(rounds)]
        command += ["--ways", *ways, "--cases", *cases, "--result", str(result), *further]
        processes = [
            subprocess.Popen(command, cwd=ROOT, env=_environment(rank), stdout=sys.stderr) for rank in range(PROCESSES)
        ]
        try:
            statuses = [process.wait(LONGEST_SECONDS) for process in processes]
        finally:
            for process in processes:
                process.kill()
        if any(statuses):
            raise RuntimeError(f"the processes ended with exit statuses {statuses}")
        return [Timed(**case) for case in json.loads(result.read_text())]


def measured_rows(timed: Sequence[Timed]) -> list[list[str]]:
    return [
        [
            case.title,
            _bytes(case.gradient_bytes),
            *(_milliseconds(case.rounds[way]) for way in (ALONE, BESIDE, TOGETHER)),
            f"{PROCESSES * ratio(case.rounds, ALONE, TOGETHER):.2f}",
            f"{1 - ratio(case.rounds, BESIDE, TOGETHER):.0%}",
            _milliseconds(case.rounds[EXCHANGE]),
        ]
        for case in timed
    ]


def modelled(timed: Sequence[Timed]) -> list[scaling_model.Network]:
    """The paper model's networks, with what was measured here: the quickest turns, which nothing has disturbed."""
    by_title = {case.title: case for case in timed}
    fine_tuned, frozen = by_title[FINE_TUNED], by_title[FROZEN]
    small = by_title[SMALL_CIFAR_NET]
    return scaling_model.networks(
        cifar_net_bytes=by_title[CIFAR_NET].gradient_bytes,
        cifar_net_seconds=min(small.rounds[ALONE]),
        fine_tuned_bytes=fine_tuned.gradient_bytes,
        frozen_bytes=frozen.gradient_bytes,
        frozen_share=min(frozen.rounds[ALONE]) / min(fine_tuned.rounds[ALONE]),
    )


def option_rows(timed: Sequence[Timed]) -> list[list[str]]:
    """Times with each option of DDP, as ratios to those of DDP without options in the same rounds."""
    return [
        [case.title, _milliseconds(case.rounds[PLAIN])]
        + [f"{ratio(case.rounds, way, PLAIN):.3f}" for way in OPTIONS if way != PLAIN]
        for case in timed
    ]


def ratio(rounds: Mapping[str, Sequence[float]], way: str, other: str) -> float:
    """The median over the rounds of one way's time over the other's."""
    return statistics.median(one / two for one, two in zip(rounds[way], rounds[other], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="turns of each way (default: %(default)s)")
    parser.add_argument("--options", action="store_true", help="compare options of DDP with one another instead")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error(f"--rounds {given.rounds}: expected at least 1")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, gloo\n")
    titles = [case.title for case in CASES]
    if given.options:
        # what DDP itself does; waiting for the other process is no different
        timed = measure(tuple(OPTIONS), titles, given.rounds, "--processor_time")
        print("Processor time of a step, and its ratio with options of DDP\n")
        print(markdown(("plain DDP, ms", *(way for way in OPTIONS if way != PLAIN)), option_rows(timed)))
        return
    timed = measure(SCALING, titles, given.rounds)
    found = modelled(timed)
    print(f"{markdown(MEASURED, measured_rows(timed))}\n\n{NOTES}\n")
    print(f"On paper: all-reduce of a step and efficiency\n\n{markdown(MODELLED, scaling_model.rows(found))}\n")
    print("\n".join(scaling_model.limits(found)))


def _environment(rank: int) -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return os.environ | threads | {"RANK": str(rank), "WORLD_SIZE": str(PROCESSES)}


def _milliseconds(seconds: Sequence[float]) -> str:
    value = statistics.median(seconds) * 1000
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _bytes(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.0f} kB"


if __name__ == "__main__":
    main()
