"""SIGKILL at random moments, of training and of the sender: every row of the journal arrives, once."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.commands import ROOT, environment
from tests.support.jobs import Job, journal_scalars
from tests.support.mlflow_jobs import MlflowJob

pytestmark = pytest.mark.slow

KILLS = 20
AT_ONCE = 4
ROWS = 1000  # a training takes four seconds and more


class Trainings:
    """The processes of tests/trainings.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._number = 0
        self._lines: list[str] = []

    def start(self, job: Job, what: str = "train") -> int:
        order = {"what": what, "folder": str(job.folder), "rows": ROWS, "environment": job.environment()}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid, _, number = self._line("started").split()
        assert int(number) == self._number
        self._number += 1
        return int(pid)

    def statuses(self, count: int) -> list[int]:
        """How the next processes to end have ended."""
        return [int(self._line("ended").split()[-1]) for _ in range(count)]

    def _line(self, kind: str) -> str:
        """The next line of this kind; one may end before the next has started."""
        assert self._process.stdout is not None
        while not any(kind in line for line in self._lines):
            self._lines.append(self._process.stdout.readline())
            assert self._lines[-1]
        found = next(line for line in self._lines if kind in line)
        self._lines.remove(found)
        return found


@pytest.fixture
def trainings() -> Iterator[Trainings]:
    command = [sys.executable, str(ROOT / "tests" / "support" / "trainings.py")]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Trainings(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(params=[Job, MlflowJob], ids=["azureml-core", "MLflow"])
def jobs(request: pytest.FixtureRequest, service: AzureMLEmulator, tmp_path: Path) -> list[Job]:
    folders = [tmp_path / f"node{number}" for number in range(KILLS)]
    for folder in folders:
        folder.mkdir()
    return [request.param(service, service.new_run().id, folder) for folder in folders]


def waves(jobs: list[Job]) -> Iterator[list[Job]]:
    for start in range(0, len(jobs), AT_ONCE):
        yield jobs[start : start + AT_ONCE]


def sender_of(training: int) -> int | None:
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\nPPid:\t{training}\n" in status.read_text():
                return int(status.parent.name)
    return None


def wait_until_delivered(job: Job, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    journal = journal_scalars(job.folder / "outputs")
    while sum(map(len, job.scalars().values())) < sum(map(len, journal.values())) and time.monotonic() < deadline:
        time.sleep(0.1)


def test_when_training_is_killed_the_sender_delivers_the_journal(trainings: Trainings, jobs: list[Job]) -> None:
    moments = random.Random(0)  # noqa: S311 moments that can be repeated, not a secret
    rows = []
    for wave in waves(jobs):
        pids = [trainings.start(job) for job in wave]
        started = time.monotonic()
        for pid, moment in zip(pids, sorted(moments.uniform(0.05, 4.0) for _ in pids), strict=True):
            time.sleep(max(0.0, started + moment - time.monotonic()))
            os.kill(pid, signal.SIGKILL)
        assert trainings.statuses(len(wave)) == [-signal.SIGKILL] * len(wave)
        for job in wave:
            wait_until_delivered(job, 60)
            time.sleep(0.2)  # whatever would come twice
            assert job.scalars() == journal_scalars(job.folder / "outputs")
            rows.append(len(job.scalars()["loss"]))
    assert len(set(rows)) > KILLS / 2
    assert max(rows) < ROWS


def test_when_the_sender_is_killed_training_continues_and_every_row_arrives_once(
    trainings: Trainings, jobs: list[Job]
) -> None:
    moments = random.Random(1)  # noqa: S311 moments that can be repeated, not a secret
    for wave in waves(jobs):
        pids = [trainings.start(job) for job in wave]
        started = time.monotonic()
        for pid, moment in zip(pids, sorted(moments.uniform(0.5, 4.0) for _ in pids), strict=True):
            time.sleep(max(0.0, started + moment - time.monotonic()))
            sender = sender_of(pid)
            assert sender is not None
            os.kill(sender, signal.SIGKILL)
        assert trainings.statuses(len(wave)) == [0] * len(wave)
        for job in wave:
            trainings.start(job, "deliver")
        assert trainings.statuses(len(wave)) == [0] * len(wave)
        for job in wave:
            journal = journal_scalars(job.folder / "outputs")
            assert job.scalars() == journal
            assert len(journal["loss"]) == ROWS
