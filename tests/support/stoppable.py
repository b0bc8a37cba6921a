"""Processes of a training whose work is a line of Python, under the watchdog and with this program's signal handling.

    python -m tests.support.stoppable

The work is in the variable WORK, and knows ``rank``, ``watchdog``, ``point`` and ``train``.
"""

import json
import os
import signal  # noqa: F401  for the work
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.launcher_process import launcher_process, print_without_launcher
from lightning_app.errors import UsageError
from lightning_app.trainer.signals import SignalHandling
from lightning_app.watchdog import supervision
from lightning_app.watchdog.protocol import Timeouts
from lightning_app.watchdog.stop import Due, Stopped
from lightning_app.watchdog.watchdog import Watchdog
from tests.support.commands import Outcome, environment

COMMAND = (sys.executable, "-m", "tests.support.stoppable")
ENDED = 60.0  # seconds, ten times what is usual


def variables(rank: int, world: int, port: int) -> dict[str, str]:
    """Of the PyTorch launcher, for one node."""
    values = {"MASTER_PORT": port, "WORLD_SIZE": world, "RANK": rank, "LOCAL_RANK": rank, "AZUREML_NODE_COUNT": 1}
    return {"MASTER_ADDR": "127.0.0.1"} | {name: str(value) for name, value in values.items()}


def start(
    work: str, folder: Path, rank: int, world: int, port: int, more: Mapping[str, str] | None = None, **timeouts: float
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        COMMAND,
        cwd=folder,
        env=environment() | variables(rank, world, port) | given(work, **timeouts) | dict(more or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def given(work: str, **timeouts: float) -> dict[str, str]:
    return {"WORK": work, "TIMEOUTS": json.dumps(timeouts)}


def finish(processes: Sequence[subprocess.Popen[str]]) -> list[Outcome]:
    outcomes = []
    for process in processes:
        out, err = process.communicate(timeout=ENDED)
        outcomes.append(Outcome(process.returncode, out, err))
    return outcomes


def train(watchdog: Watchdog, rank: int, seconds: float = 0.05, steps: int = 400, talks: bool = False) -> None:
    """Steps in which each process waits for the slowest, as in a collective operation; prints where it stops.

    A process has taken a step when its file names it.
    """
    point = watchdog.stop_point
    files = [Path(f"step-{other}") for other in range(int(os.environ["WORLD_SIZE"]))]
    point.describe = lambda cause: f"Stopped {cause.text}, rank {rank} has a checkpoint."
    point.enter()
    for step in range(1, steps):
        time.sleep(seconds * (rank + 1))
        _write(files[rank], step)
        if talks:
            print(f"in step {step}", flush=True)
        while any(_read(file) < step for file in files):
            time.sleep(0.005)
        due = point.due((step, 0, 0))
        if due is Due.SAVE:
            print(f"saved {step} {point.save_reason}", flush=True)
        if due is Due.STOP:
            print(f"step {step}", flush=True)
            watchdog.report_stopping()
            assert point.cause is not None
            raise Stopped(point.cause, point.line())
    point.leave()


def _write(file: Path, step: int) -> None:
    unfinished = file.with_suffix(".tmp")
    unfinished.write_text(str(step))
    unfinished.replace(file)


def _read(file: Path) -> int:
    return int(file.read_text() or 0) if file.exists() else 0  # it may be being written


def main() -> None:
    launch = detect_launch()
    watchdog = Watchdog(Timeouts(**json.loads(os.environ["TIMEOUTS"])))
    names = globals() | {"rank": launch.rank, "watchdog": watchdog, "point": watchdog.stop_point}
    launcher = launcher_process(launch)
    if launcher is not None:
        print_without_launcher()
    with SignalHandling(watchdog, launcher):
        supervision.start(watchdog, launch, dict(os.environ))
        work = compile(os.environ["WORK"], "work", "exec")
        supervision.run_supervised(watchdog, lambda: exec(work, names), _usage_error)  # noqa: S102 of a test
    print("done", flush=True)


def _usage_error(error: BaseException) -> str | None:
    return str(error) if isinstance(error, UsageError) else None


if __name__ == "__main__":
    main()
