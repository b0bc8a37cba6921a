"""A rank that fails ends the job soon, with an exit status and with its traceback at the end of logs and report."""

from pathlib import Path

import pytest

from tests.support.failures import FAILING_MODEL, run_failing_training
from tests.support.images import make_cifar10
from tests.support.jobs import Job, journal_scalars

SLOW = pytest.mark.slow
DESCRIPTIONS = {  # in the report, and the end of its text
    "kill": ("was killed", "SIGKILL"),
    "raise": ("raised an error", "ValueError: the third image is a cat"),
    "exit": ("exited", "Exit status 3."),
    "loop": ("kept the others waiting", "in _loop"),
    "stop": ("kept the others waiting", "It sent no stack trace"),
    "leave": ("exited early", "while other processes were still working"),
}
POSITIONS = {
    "start": "during setup",
    "training": "in training, epoch 1, after step 5",
    "validation": "in validation, epoch 1, after step ",
}
CASES = [
    pytest.param("mpi_for_devices", 1, how, when, marks=[] if (how, when) == ("kill", "training") else SLOW)
    for how in ("kill", "raise", "exit", "loop")
    for when in POSITIONS
]
OTHER_SHAPES = [
    pytest.param(shape, nodes, how, "training", marks=[] if (shape, how) == ("none", "raise") else SLOW)
    for shape, nodes in (
        ("none", 1),
        ("torchrun", 1),
        ("pytorch_for_devices", 2),
        ("pytorch_for_nodes", 2),
        ("mpi_for_nodes", 2),
    )
    for how in ("kill", "raise", "loop")
]
OTHER_FAILURES = [
    pytest.param("none", 1, "stop", "training", marks=SLOW),
    pytest.param("torchrun", 1, "leave", "training", marks=SLOW),
]


@pytest.mark.namespaces
@pytest.mark.parametrize(("shape", "nodes", "how", "when"), [*CASES, *OTHER_SHAPES, *OTHER_FAILURES])
def test_a_rank_that_fails_ends_the_job(shape: str, nodes: int, how: str, when: str, tmp_path: Path) -> None:
    failed = run_failing_training(tmp_path, shape, nodes, how, when)

    assert failed.remaining == []
    assert all(status != 0 for status in failed.statuses)
    description, text = DESCRIPTIONS[how]
    assert failed.report.count("FAILED: ") == 1
    assert "FAILED: rank 1 (node 0, " in failed.report
    assert f"{description}, {POSITIONS[when]}" in failed.report
    assert text in failed.report
    # a launcher may add lines of its own to the log, but no training process prints anything after the report
    last_line = failed.report.strip().splitlines()[-1]
    assert last_line in failed.log
    assert "pytorch_lightning/" not in failed.log.rpartition(last_line)[2]


@pytest.mark.slow
@pytest.mark.namespaces
@pytest.mark.parametrize("how", ["kill", "raise"])
def test_a_failure_of_rank_0_ends_the_job(how: str, tmp_path: Path) -> None:
    failed = run_failing_training(tmp_path, "mpi_for_devices", 1, how, "training", rank=0)

    assert failed.remaining == []
    assert "FAILED: rank 0 (node 0, " in failed.report
    assert DESCRIPTIONS[how][1] in failed.report
    assert all(status != 0 for status in failed.statuses)


def test_metrics_logged_before_a_failure_are_delivered_when_the_job_ends(job: Job) -> None:
    flags = ["--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "1"]
    variables = {"FAIL_HOW": "raise", "FAIL_WHEN": "training", "FAIL_RANK": "1", "FAIL_FOLDER": str(job.folder)}
    data = make_cifar10(job.folder / "cifar")

    outcome = job.run("-m", "lightning_app.fit", *FAILING_MODEL, *flags, "--data_path", str(data), **variables)

    assert outcome.status == 1
    assert outcome.err.rstrip().endswith("ValueError: the third image is a cat")
    assert "FAILED: rank 1 (node 0, 127.0.0.1) raised an error, in training, epoch 1, after step 5" in outcome.err
    logged = journal_scalars(job.folder / "outputs")
    assert [step for step, _ in logged["train_loss"]] == [1, 2, 3, 4, 5]
    assert job.scalars() == logged


@pytest.mark.slow
@pytest.mark.namespaces
def test_the_report_names_the_node_of_the_failed_rank(tmp_path: Path) -> None:
    failed = run_failing_training(tmp_path, "pytorch_for_devices", 2, "kill", "training", rank=3)

    assert failed.remaining == []
    assert "FAILED: rank 3 (node 1, 10.77.0.2) was killed, in training" in failed.report
    assert all(status != 0 for status in failed.statuses)
