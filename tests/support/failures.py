"""Runs trainings of four processes of which one fails, and collects what they leave."""

import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.clusters import start
from tests.support.images import make_cifar10
from tests.support.namespaces import Cluster

SECONDS = 240.0  # ten times what is usual, in which all processes must have ended
_SECONDS_TO_FAILURE = 240  # four processes on two busy cores
FAILING_MODEL = (
    *("--model", "tests.support.failing_module.Failing"),
    *("--data", "datamodules.CIFAR10DataModule", "--data.val_split", "40"),
)


@dataclass(frozen=True)
class FailedTraining:
    """What a training has left.

    Args:
        statuses: Exit statuses of the launcher's commands.
        log: Their standard error, by node.
        report: ``failures.txt`` of the first node.
        remaining: Command lines of processes that still ran after ``SECONDS``.
    """

    statuses: list[int]
    log: str
    report: str
    remaining: list[str]


def run_failing_training(folder: Path, shape: str, nodes: int, how: str, when: str, rank: int = 1) -> FailedTraining:
    """Runs a training of four processes in which ``rank`` fails; for ``how`` and ``when`` see ``Failing``."""
    notes = folder / "notes"
    notes.mkdir()
    data = make_cifar10(folder / "cifar")
    arguments = [*FAILING_MODEL, "--num_epochs", "1", "--batch_size", "2", "--data_path", str(data)]
    variables = {"FAIL_HOW": how, "FAIL_WHEN": when, "FAIL_RANK": str(rank), "FAIL_FOLDER": str(notes)}
    with Cluster(folder / "cluster", nodes) as cluster:
        processes = start(shape, cluster, 4 // nodes, arguments, variables)
        _wait_for(notes / "failed", cluster)
        remaining = cluster.remaining_processes(SECONDS)
        statuses = [process.finish(SECONDS).status for process in processes]
        reports = cluster.nodes[0].folder / "outputs" / "failures.txt"
        report = reports.read_text() if reports.exists() else ""
        return FailedTraining(statuses, "".join(process.err for process in processes), report, remaining)


def _wait_for(path: Path, cluster: Cluster) -> None:
    deadline = time.monotonic() + _SECONDS_TO_FAILURE
    while not path.exists():
        assert time.monotonic() < deadline, "\n".join(process.logs() for process in cluster.processes)
        time.sleep(0.05)
