"""Measures the speedup of a second process, and computes that of 8 to 128 GPUs: ``python -m benchmarks.scaling``.

Three variants take turns on two cores, with one thread per process: one process, two processes without communication,
and two with DDP. The difference between the last two is the cost of communication: the all-reduce itself, waiting for
the slower process, and DDP's own work.
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
    ALL_REDUCE,
    CASES,
    CIFAR_NET,
    FINE_TUNED,
    FROZEN,
    ONE_PROCESS,
    OPTIONS,
    PLAIN,
    SCALING,
    SMALL_CIFAR_NET,
    WITH_DDP,
    WITHOUT_EXCHANGE,
    CaseResult,
)
from benchmarks.tables import markdown

ROOT = Path(__file__).parent.parent
PROCESSES = 2
TIMEOUT_SECONDS = 1200

MEASURED_COLUMNS = (
    "gradients",
    "1 process",
    "2, no exchange",
    "2 with DDP",
    "speedup",
    "communication",
    "all-reduce",
)
NOTES = """\
Milliseconds per step, medians; each process has a batch of the given size. Speedup: images per second of two processes
with DDP, as a multiple of one process. Communication: share of a DDP step that the same step without communication
doesn't need. All-reduce: of as many bytes, without computation."""
MODELLED_COLUMNS = ("computation", *(f"{nodes} x {scaling_model.GPUS_PER_NODE} GPUs" for nodes in scaling_model.NODES))


def measure(variants: Sequence[str], cases: Sequence[str], rounds: int, *further: str) -> list[CaseResult]:
    """Runs the processes; in each round, each variant is measured once for each case."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "results.json"
        command = [sys.executable, "-m", "benchmarks.scaling_worker", "--rounds", str(rounds)]
        command += ["--variants", *variants, "--cases", *cases, "--result", str(result), *further]
        processes = [
            subprocess.Popen(command, cwd=ROOT, env=_environment(rank), stdout=sys.stderr) for rank in range(PROCESSES)
        ]
        try:
            statuses = [process.wait(TIMEOUT_SECONDS) for process in processes]
        finally:
            for process in processes:
                process.kill()
        if any(statuses):
            raise RuntimeError(f"exit statuses of the processes: {statuses}")
        return [CaseResult(**case) for case in json.loads(result.read_text())]


def measured_rows(results: Sequence[CaseResult]) -> list[list[str]]:
    return [
        [
            case.title,
            _bytes(case.gradient_bytes),
            *(_milliseconds(case.rounds[variant]) for variant in (ONE_PROCESS, WITHOUT_EXCHANGE, WITH_DDP)),
            f"{PROCESSES * ratio(case.rounds, ONE_PROCESS, WITH_DDP):.2f}",
            f"{1 - ratio(case.rounds, WITHOUT_EXCHANGE, WITH_DDP):.0%}",
            _milliseconds(case.rounds[ALL_REDUCE]),
        ]
        for case in results
    ]


def modelled_networks(results: Sequence[CaseResult]) -> list[scaling_model.Network]:
    """The model's networks, with the fastest turns measured here, which other programs disturbed least."""
    by_title = {case.title: case for case in results}
    fine_tuned, frozen = by_title[FINE_TUNED], by_title[FROZEN]
    small = by_title[SMALL_CIFAR_NET]
    return scaling_model.networks_on_a100(
        cifar_net_bytes=by_title[CIFAR_NET].gradient_bytes,
        cifar_net_seconds=min(small.rounds[ONE_PROCESS]),
        fine_tuned_bytes=fine_tuned.gradient_bytes,
        frozen_bytes=frozen.gradient_bytes,
        frozen_share=min(frozen.rounds[ONE_PROCESS]) / min(fine_tuned.rounds[ONE_PROCESS]),
    )


def option_rows(results: Sequence[CaseResult]) -> list[list[str]]:
    """Time with each option of DDP, as a ratio to DDP without options in the same rounds."""
    return [
        [case.title, _milliseconds(case.rounds[PLAIN])]
        + [f"{ratio(case.rounds, option, PLAIN):.3f}" for option in OPTIONS if option != PLAIN]
        for case in results
    ]


def ratio(rounds: Mapping[str, Sequence[float]], variant: str, other: str) -> float:
    """The median over the rounds of the ratio of their times."""
    return statistics.median(one / two for one, two in zip(rounds[variant], rounds[other], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=25, help="measurements of each variant (default: %(default)s)")
    parser.add_argument("--options", action="store_true", help="compare options of DDP instead")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds {arguments.rounds}: expected at least 1")
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, gloo\n")
    titles = [case.title for case in CASES]
    if arguments.options:
        # the work of DDP itself; waiting for the other process isn't affected by the options
        results = measure(tuple(OPTIONS), titles, arguments.rounds, "--processor_time")
        print("Processor time of a step, and its ratio with options of DDP\n")
        print(markdown(("plain DDP, ms", *(option for option in OPTIONS if option != PLAIN)), option_rows(results)))
        return
    results = measure(SCALING, titles, arguments.rounds)
    networks = modelled_networks(results)
    print(f"{markdown(MEASURED_COLUMNS, measured_rows(results))}\n\n{NOTES}\n")
    print(
        f"Model: all-reduce of a step, and efficiency\n\n{markdown(MODELLED_COLUMNS, scaling_model.rows(networks))}\n"
    )
    print("\n".join(scaling_model.latency_sentences(networks)))


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
