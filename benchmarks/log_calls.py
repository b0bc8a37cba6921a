"""One logger in a process of its own: ``python -m benchmarks.log_calls NAME ...`` logs rows and times each call.

It ends as a training program does; what it measured is in a file by then.
"""

import argparse
import json
import os
import statistics
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

METRIC = "loss"
MEMORY = Path("/proc/self/statm")  # Linux alone has it

Log = Callable[[float, int], object]


@dataclass(frozen=True)
class Calls:
    """What one process measured: microseconds per call, bytes, and seconds since 1970.

    ``growth`` is that of the process's memory while it logged the last nine tenths of its rows; None where the system
    doesn't report it. ``run_id`` is that of MLflow's run.
    """

    median: float
    percentile_99: float
    growth: int | None
    began: float
    ended: float
    run_id: str | None = None


def value_at(step: int) -> float:
    """What is logged: another value at each step."""
    return 1 / (1 + step)


def azureml_run_logger(rows: int, pause: float, tracking_uri: str | None, result: Path) -> None:
    """This project's logger; the end of the program is what delivers the rest."""
    from lightning_app.azureml_logger import AzureMLRunLogger

    logger = AzureMLRunLogger("outputs")
    calls = _timed(lambda value, step: logger.log_metrics({METRIC: value}, step=step), rows, pause)
    _write(calls, result)
    logger.finalize("success")


def azureml_core(rows: int, pause: float, tracking_uri: str | None, result: Path) -> None:
    """The client by itself. ``complete`` at the end sends the rest, which is lost otherwise."""
    from azureml.core import Run

    run = Run.get_context(allow_offline=False)
    calls = _timed(lambda value, step: run.log(METRIC, value, step=step), rows, pause)
    _write(calls, result)
    run.complete()


def mlflow_logger(rows: int, pause: float, tracking_uri: str | None, result: Path) -> None:
    """Lightning's logger with its defaults, by which a call returns when the server has responded."""
    from pytorch_lightning.loggers import MLFlowLogger

    logger = MLFlowLogger(tracking_uri=tracking_uri)
    run_id = logger.run_id  # a Trainer has asked for it, too, before it trains: this makes the run
    calls = _timed(lambda value, step: logger.log_metrics({METRIC: value}, step=step), rows, pause)
    _write(Calls(**{**asdict(calls), "run_id": run_id}), result)
    logger.finalize("success")


def _timed(log: Log, rows: int, pause: float) -> Calls:
    """Logs rows one after the other, ``pause`` seconds apart."""
    nanoseconds = array("q", bytes(8 * rows))  # all of it now, so that it isn't what grows
    tenth, before = rows // 10, None
    began = time.time()
    for step in range(rows):
        if step == tenth:
            before = _memory()
        value = value_at(step)
        called = time.perf_counter_ns()
        log(value, step)
        nanoseconds[step] = time.perf_counter_ns() - called
        if pause:
            time.sleep(pause)
    ended, after = time.time(), _memory()
    growth = None if before is None or after is None else after - before
    percentile_99 = statistics.quantiles(nanoseconds, n=100, method="inclusive")[98]
    return Calls(statistics.median(nanoseconds) / 1000, percentile_99 / 1000, growth, began, ended)


def _memory() -> int | None:
    """Bytes of this process that are in memory."""
    if not MEMORY.exists():
        return None
    return int(MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _write(calls: Calls, result: Path) -> None:
    result.write_text(json.dumps(asdict(calls)))


LOGGERS = {"azureml_run_logger": azureml_run_logger, "azureml_core": azureml_core, "mlflow_logger": mlflow_logger}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=LOGGERS)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--pause_us", type=int, default=0)
    parser.add_argument("--tracking_uri")
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args()
    LOGGERS[given.name](given.rows, given.pause_us / 1e6, given.tracking_uri, given.result)


if __name__ == "__main__":
    main()
