"""What becomes of training and its rows when Azure ML fails: ``python -m benchmarks.logger_faults``.

Each fault has a training of its own as a job of this project's rehearsal of Azure ML, on this machine. Ends with
status 1 if a fault slows training down, ends it with an error, holds its end up, or loses or doubles a row.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.logging_cost import ROOT, Difference
from benchmarks.paired_training import BATCH_SIZE, LOG_INTERVAL, STEPS_PER_TURN, Paired
from benchmarks.service_faults import FAULTS, MLFLOW_FAULTS, mend
from benchmarks.tables import markdown, table
from lightning_app.azureml.destination import BY_MLFLOW, CHOICE
from lightning_app.azureml.journal import read_journal
from submit.emulator import AzureMLEmulator

EXPIRED = "token expired"  # before the job began; a fault of its environment, not of the service
NAMES = (*FAULTS, EXPIRED)

LEAST_RATIO = 0.98
LONGEST_EXIT = 15.0  # seconds
LONGEST_SECONDS = 400.0  # beside those of training; deliver gives up after 300
SECONDS_TO_END = 20.0

COLUMNS = ("ratio", "exit code", "s at exit", "rows at once", "after deliver")
NOTES = f"""\
ratio: of the steps a second with the logger to those without, in turns of {STEPS_PER_TURN} steps in one run;
  the median over pairs of turns, in which the sender's start, once a run, doesn't show
exit code: that of training
s at exit: from the end of the training script until its process has ended
rows at once: values that the service holds then, of those in metrics.jsonl
after deliver: what it holds when the fault is over and python -m lightning_app.deliver has run
Expected: ratio at least {LEAST_RATIO}, exit code 0, at most {LONGEST_EXIT:.0f} s at exit, in the end all, once"""

Value = tuple[str, int | None, float]
"""Metric, step and number."""


@dataclass(frozen=True)
class Ending:
    """How a process ended, when, in seconds since 1970, and what it said last."""

    status: int
    time: float
    last_words: str


@dataclass(frozen=True)
class Outcome:
    """A line of the table; ``paired`` is None where training never came to its end."""

    fault: str
    paired: Paired | None
    training: Ending
    values: int
    at_once: int
    difference: Difference
    delivery: Ending

    @property
    def ratio(self) -> float:
        return self.paired.ratio if self.paired else 0.0

    @property
    def exit_seconds(self) -> float:
        return self.training.time - self.paired.ended if self.paired else float("inf")

    def cells(self) -> list[str]:
        ending = [f"{self.ratio:.3f}", str(self.training.status), f"{self.exit_seconds:.1f}"]
        return [self.fault, *ending, f"{self.at_once:,} of {self.values:,}", str(self.difference)]

    def broken(self) -> list[str]:
        """What is not as it must be."""
        holds = {
            f"ratio {self.ratio:.4f}, expected at least {LEAST_RATIO}": self.ratio >= LEAST_RATIO,
            f"exit code {self.training.status}: {self.training.last_words}": self.training.status == 0,
            f"{self.exit_seconds:.1f} s at exit, expected at most {LONGEST_EXIT}": self.exit_seconds <= LONGEST_EXIT,
            f"{self.difference} after deliver: {self.delivery.last_words}": not self.difference,
            "nothing was logged": self.values > 0,
        }
        return [text for text, it_does in holds.items() if not it_does]


class Job:
    """A run of the service, and the folder that stands for the disk of its node."""

    def __init__(self, service: AzureMLEmulator, folder: Path, token_seconds: float, by_mlflow: bool) -> None:
        self._service, self._folder = service, folder
        self._run_id = service.new_run().id
        variables = service.v2_job_environment if by_mlflow else service.job_environment
        chosen = {CHOICE: BY_MLFLOW} if by_mlflow else {}
        self._environment = _environment() | variables(self._run_id, folder / "home", token_seconds) | chosen

    def run(self, *arguments: str, at_most: float) -> Ending:
        """Python with these arguments as the job's command, which is ended after ``at_most`` seconds."""
        log = self._folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self._folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(at_most)
                ended = time.time()
            finally:
                _end(process)
        said = log.read_text(errors="replace").strip().splitlines()
        return Ending(process.returncode, ended, "".join(said[-1:]) or "no word")

    def journal(self) -> list[Value]:
        """What training logged."""
        path = self._folder / "outputs" / "metrics.jsonl"
        rows = read_journal(path) if path.exists() else ()
        return [
            (name, row["step"], value)
            for row in rows
            for name, value in row["metrics"].items()
            if not isinstance(value, str)  # which is no number, and is never sent
        ]

    def held(self) -> list[Value]:
        """What the service holds."""
        metrics = self._service.run(self._run_id).metrics
        return [(name, row.step, row.data[name]) for name, rows in metrics.items() for row in rows]


def difference(held: Sequence[Value], journal: Sequence[Value]) -> Difference:
    """Between what the service holds and the journal, which has each step of a metric once."""
    logged = {(name, step): value for name, step, value in journal}
    counts = Counter((name, step) for name, step, _ in held)
    wrong = sum(logged.get((name, step)) != value for name, step, value in held)
    return Difference(sum(place not in counts for place in logged), len(held) - len(counts), wrong)


def measure(fault: str, seconds: float, by_mlflow: bool) -> Outcome:
    """Training under the fault, and what is delivered afterwards, at a service of its own."""
    with AzureMLEmulator() as service, tempfile.TemporaryDirectory() as folder:
        job = Job(service, Path(folder), -5 if fault == EXPIRED else 3600, by_mlflow)
        if fault in FAULTS:
            (MLFLOW_FAULTS if by_mlflow else FAULTS)[fault](service)
        result = Path(folder) / "paired.json"
        options = ["--seconds", str(seconds), "--result", str(result)]
        training = job.run("-m", "benchmarks.paired_training", *options, at_most=seconds + LONGEST_SECONDS)
        paired = Paired(**json.loads(result.read_text())) if result.exists() else None
        journal = job.journal()
        at_once = len(journal) - difference(job.held(), journal).missing
        mend(service)
        delivery = job.run("-m", "lightning_app.deliver", "outputs", at_most=LONGEST_SECONDS)
        return Outcome(fault, paired, training, len(journal), at_once, difference(job.held(), journal), delivery)


def heading(seconds: float, measured: Sequence[Outcome], by_mlflow: bool) -> str:
    """What was measured, and on what."""
    steps = [outcome.paired.step_seconds for outcome in measured if outcome.paired]
    pace = f", {1000 * statistics.median(steps):.1f} ms a step" if steps else ""
    names = ("pytorch-lightning", "torch") if by_mlflow else ("azureml-core", "pytorch-lightning", "torch")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    service = "Azure ML's MLflow interface" if by_mlflow else "Azure ML"
    return (
        f"AzureMLRunLogger with its defaults while {service} fails, {seconds:g} s of training each: CIFAR Net,\n"
        f"batches of {BATCH_SIZE}{pace}, loss and accuracy logged every {LOG_INTERVAL} steps.\n"
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}."
    )


def main() -> int:
    given = _parsed()
    measured = []
    for fault in given.faults:
        measured.append(measure(fault, given.seconds, given.mlflow))
        print(" | ".join(measured[-1].cells()), file=sys.stderr)
    written = (markdown if given.markdown else table)(COLUMNS, [outcome.cells() for outcome in measured])
    print(f"\n{heading(given.seconds, measured, given.mlflow)}\n\n{written}\n\n{NOTES}")
    broken = [f"{outcome.fault}: {text}" for outcome in measured for text in outcome.broken()]
    if broken:
        print("", *broken, sep="\n")
    return int(bool(broken))


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.logger_faults", description=__doc__, epilog=f"Faults: {', '.join(NAMES)}."
    )
    parser.add_argument("--seconds", type=float, default=25.0, help="of training under each fault (default: 25)")
    parser.add_argument("--faults", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help="these only")
    parser.add_argument("--mlflow", action="store_true", help="by MLflow's interface instead of azureml-core's")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    given = parser.parse_args()
    if not given.seconds > 0:
        parser.error(f"--seconds {given.seconds:g}: expected more than 0")
    return given


def _environment() -> dict[str, str]:
    """Without settings of ours that lead elsewhere; as the rest of a job's is the service's to say."""
    foreign = ("AZUREML_", "MLFLOW_", "PL_GLOBAL_SEED")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    fonts = str(Path.home() / ".cache" / "matplotlib")  # which matplotlib would look for in each new home
    return inherited | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": fonts}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Does nothing where it has ended; otherwise it is asked to first: its sender may be stopped."""
    process.terminate()
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
