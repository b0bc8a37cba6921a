"""Trainings of four processes in which one fails, and what is seen of it."""

import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.clusters import start
from tests.support.images import make_cifar10
from tests.support.namespaces import Cluster

SECONDS = 30  # within which all processes have to be gone
_WAIT = 240  # for a training that begins, four processes on two busy cores
_TRAINING = (
    *(
        "--model",
        "tests.support.failing_module.Failing",
        "--data",
        "datamodules.CIFAR10DataModule",
        "--data.val_split",
        "40",
    ),
    *("--num_epochs", "1", "--batch_size", "2"),
)


@dataclass(frozen=True)
class Failed:
    """What a training has left.

    Args:
        seconds: From the failure until no process was there any more.
        statuses: Of the commands that were started by hand.
        log: What they said on standard error, that of the first first.
        report: ``failures.txt`` of the first node.
        left: Command lines of what still ran after ``SECONDS``.
    """

    seconds: float
    statuses: list[int]
    log: str
    report: str
    left: list[str]


def fail(folder: Path, shape: str, nodes: int, how: str, when: str, rank: int = 1) -> Failed:
    """Lets one rank of four fail."""
    notes = folder / "notes"
    notes.mkdir()
    data = make_cifar10(folder / "cifar")
    variables = {"FAIL_HOW": how, "FAIL_WHEN": when, "FAIL_RANK": str(rank), "FAIL_NOTES": str(notes)}
    with Cluster(folder / "cluster", nodes) as cluster:
        processes = start(shape, cluster, 4 // nodes, [*_TRAINING, "--data_path", str(data)], variables)
        _wait_for(notes / "failed", lambda: "\n".join(process.told() for process in processes))
        failed_at = (notes / "failed").stat().st_mtime
        left = cluster.left(SECONDS)
        seconds = time.time() - failed_at
        statuses = [process.finish(SECONDS).status for process in processes]
        reports = cluster.nodes[0].folder / "outputs" / "failures.txt"
        report = reports.read_text() if reports.exists() else ""
        return Failed(seconds, statuses, "".join(process.err for process in processes), report, left)


def _wait_for(path: Path, told: object) -> None:
    deadline = time.monotonic() + _WAIT
    while not path.exists():
        assert time.monotonic() < deadline, told() if callable(told) else told
        time.sleep(0.05)
