"""What a log call costs training, and when its row has arrived: ``python -m benchmarks.logging_cost``.

Each logger has a process of its own and logs one metric, row after row. Azure ML is this project's rehearsal of it,
MLflow its own server; both are on this machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.log_calls import METRIC, Calls, value_at
from benchmarks.mlflow_server import MLflowServer
from benchmarks.slow_proxy import SlowProxy
from benchmarks.tables import markdown, table
from submit.emulator import AzureMLEmulator, MetricRow

ROOT = Path(__file__).parent.parent
LATENCY = 0.1  # seconds
FEWEST_ROWS = 10  # memory is looked at after a tenth of them
SECONDS_BETWEEN_LOOKS = 0.02
LONGEST_SECONDS = 3600.0

OURS = "(a) this project"
AZUREML_CORE = "(b) azureml-core"
MLFLOW = "(c) MLFlowLogger"
SLOW_MLFLOW = f"(d) MLFlowLogger, {LATENCY * 1000:.0f} ms"

COLUMNS = ("rows", "median µs", "99 % µs", "growth MB", "requests", "last row s", "held")
NOTES = f"""\
(a) AzureMLRunLogger; (b) run.log, and run.complete at the end; (c) Lightning's logger and an MLflow
server; (d) the same, each request {LATENCY * 1000:.0f} ms late.
median, 99 %: of the time of one log call
growth: of the training process's memory while it logs the last nine tenths of its rows
requests: POSTs to Azure ML's metrics service; to MLflow, all
last row: from the first call until the last row that ever arrives is there
held: whether the service has all rows once, value for value, when the process has ended"""
WITHOUT_MLFLOW = "MLFlowLogger is left out: MLflow isn't installed. To compare with it: {} -m pip install mlflow"


@dataclass(frozen=True)
class Difference:
    """Between the rows that the service holds and those that were logged."""

    missing: int
    repeated: int
    wrong: int

    def __bool__(self) -> bool:
        return bool(self.missing or self.repeated or self.wrong)

    def __str__(self) -> str:
        counts = {"missing": self.missing, "repeated": self.repeated, "wrong": self.wrong}
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count) or "all, once"


@dataclass(frozen=True)
class Ending:
    """How a process ended, and what it said last."""

    status: int
    last_words: str

    def __str__(self) -> str:
        return f"ended with status {self.status}; its last words: {self.last_words or 'none'}"


@dataclass(frozen=True)
class Outcome:
    """A line of the table; ``seconds`` are those to the last row, None where none came."""

    title: str
    rows: int
    calls: Calls
    requests: int
    seconds: float | None
    difference: Difference
    ending: Ending

    def cells(self) -> list[str]:
        growth = "?" if self.calls.growth is None else f"{self.calls.growth / 1e6:+.1f}"
        times = [_short(self.calls.median), _short(self.calls.percentile_99)]
        seconds = "-" if self.seconds is None else _short(self.seconds)
        arrival = [f"{self.requests:,}", seconds, str(self.difference)]
        return [self.title, f"{self.rows:,}", *times, growth, *arrival]


class Arrivals:
    """The rows of a run as they come to the service."""

    def __init__(self, service: AzureMLEmulator, run_id: str) -> None:
        self._service, self._run_id = service, run_id
        self._count = 0
        self.last: float | None = None

    def look(self) -> None:
        """Notes the time if there are more rows than before."""
        count = len(self._held())
        if count > self._count:
            self._count, self.last = count, time.time()

    def rows(self) -> list[tuple[int | None, float]]:
        return [(row.step, row.data[METRIC]) for row in self._held()]

    def _held(self) -> list[MetricRow]:
        return self._service.run(self._run_id).metrics.get(METRIC, [])


def difference(held: Sequence[tuple[int | None, float]], rows: int) -> Difference:
    """``rows`` is how many were logged, at the steps from 0 on."""
    steps = Counter(step for step, _ in held)
    wrong = sum(step is None or not 0 <= step < rows or value != value_at(step) for step, value in held)
    return Difference(sum(step not in steps for step in range(rows)), len(held) - len(steps), wrong)


def measure_azureml(title: str, logger: str, rows: int, pause_us: int) -> Outcome:
    """A logger that sends to Azure ML, against a service of its own."""
    with AzureMLEmulator() as service, tempfile.TemporaryDirectory() as folder:
        run_id = service.new_run().id
        arrivals = Arrivals(service, run_id)
        environment = _environment(service, run_id, Path(folder))
        options = ["--rows", str(rows), "--pause_us", str(pause_us)]
        calls, ending = _run([logger, *options], Path(folder), environment, arrivals.look)
        requests = sum(request.method == "POST" and request.path.startswith("/metric/") for request in service.requests)
        seconds = None if arrivals.last is None else arrivals.last - calls.began
        return Outcome(title, rows, calls, requests, seconds, difference(arrivals.rows(), rows), ending)


def measure_mlflow(title: str, server: MLflowServer, latency: float, rows: int, pause_us: int) -> Outcome:
    """MLFlowLogger, each of whose calls waits for the server's answer."""
    with (
        AzureMLEmulator() as nowhere,  # for its proxy, which leads to no other machine
        SlowProxy(server.port, latency) as proxy,
        tempfile.TemporaryDirectory() as folder,
    ):
        environment = _environment(nowhere, nowhere.new_run().id, Path(folder))
        options = ["--rows", str(rows), "--pause_us", str(pause_us), "--tracking_uri", proxy.url]
        calls, ending = _run(["mlflow_logger", *options], Path(folder), environment, lambda: None)
        assert calls.run_id is not None
        held = list(server.rows(calls.run_id, METRIC))
        seconds = calls.ended - calls.began
        return Outcome(title, rows, calls, proxy.requests, seconds, difference(held, rows), ending)


def outcomes(rows: int, mlflow_rows: int, slow_mlflow_rows: int, pause_us: int) -> Iterator[Outcome]:
    """One after the other, on an otherwise quiet machine."""
    yield measure_azureml(OURS, "azureml_run_logger", rows, pause_us)
    yield measure_azureml(AZUREML_CORE, "azureml_core", rows, pause_us)
    if _version("mlflow") is None:
        return
    with ExitStack() as stack:
        nowhere = stack.enter_context(AzureMLEmulator())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(MLflowServer(folder, _environment(nowhere, nowhere.new_run().id, folder)))
        yield measure_mlflow(MLFLOW, server, 0.0, mlflow_rows, pause_us)
        yield measure_mlflow(SLOW_MLFLOW, server, LATENCY, slow_mlflow_rows, pause_us)


def heading(rows: int, mlflow_rows: int, slow_mlflow_rows: int, pause_us: int) -> str:
    """What was measured, and on how many rows."""
    versions = [
        f"{name} {_version(name)}" for name in ("azureml-core", "pytorch-lightning", "mlflow") if _version(name)
    ]
    few = f", (c) {mlflow_rows:,}, (d) {slow_mlflow_rows:,}" if _version("mlflow") else ""
    pace = f"{pause_us} µs apart" if pause_us else "no pause between"
    return (
        f"Cost of a log call of one value, {pace}: (a) and (b) {rows:,} calls{few}.\n"
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(versions)}."
    )


def main() -> None:
    given = _parsed()
    numbers = (given.rows, given.mlflow_rows, given.slow_mlflow_rows, given.pause_us)
    measured = []
    for outcome in outcomes(*numbers):
        measured.append(outcome)
        print(f"{outcome.title}: {outcome.rows:,} rows logged", file=sys.stderr)
    written = (markdown if given.markdown else table)(COLUMNS, [outcome.cells() for outcome in measured])
    print(f"\n{heading(*numbers)}\n\n{written}\n\n{NOTES}")
    for outcome in measured:
        if outcome.ending.status or outcome.difference:
            print(f"{outcome.title} {outcome.ending}")
    if _version("mlflow") is None:
        print(WITHOUT_MLFLOW.format(sys.executable))


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.logging_cost", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows to Azure ML (default: %(default)s)")
    parser.add_argument("--mlflow_rows", type=int, default=2_000, help="rows to MLflow (default: %(default)s)")
    parser.add_argument(
        "--slow_mlflow_rows", type=int, default=200, help="rows to MLflow far away (default: %(default)s)"
    )
    parser.add_argument("--pause_us", type=int, default=0, help="microseconds between calls (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    given = parser.parse_args()
    for name in ("rows", "mlflow_rows", "slow_mlflow_rows"):
        if getattr(given, name) < FEWEST_ROWS:
            parser.error(f"--{name} {getattr(given, name)}: expected at least {FEWEST_ROWS}")
    if given.pause_us < 0:
        parser.error(f"--pause_us {given.pause_us}: expected 0 or more")
    return given


def _run(
    arguments: Sequence[str], folder: Path, environment: dict[str, str], look: Callable[[], None]
) -> tuple[Calls, Ending]:
    """What the process measured, and how it ended; ``look`` is called now and then, and once afterwards."""
    result, log = folder / "calls.json", folder / "log"
    command = [sys.executable, "-m", "benchmarks.log_calls", *arguments, "--result", str(result)]
    deadline = time.monotonic() + LONGEST_SECONDS
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None and time.monotonic() < deadline:
                look()
                time.sleep(SECONDS_BETWEEN_LOOKS)
        finally:
            process.kill()
            status = process.wait()
    look()
    said = log.read_text(errors="replace")
    if not result.exists():
        raise RuntimeError(f"{arguments[0]} ended with status {status}; its last words:\n{said[-2000:]}")
    last_words = "".join(said.strip().splitlines()[-1:])
    return Calls(**json.loads(result.read_text())), Ending(status, last_words)


def _environment(service: AzureMLEmulator, run_id: str, folder: Path) -> dict[str, str]:
    """A job's, without settings of ours that lead elsewhere or change how a client works."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AZUREML_", "MLFLOW_"))}
    silent = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return inherited | silent | service.job_environment(run_id, folder / "home") | {"PYTHONPATH": str(ROOT)}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _short(number: float) -> str:
    return f"{number:,.1f}" if number < 100 else f"{number:,.0f}"


if __name__ == "__main__":
    main()
