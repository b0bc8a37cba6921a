"""A rank that fails ends the job: soon, with an exit code, and with its traceback last in the logs and in outputs/."""

from pathlib import Path

import pytest

from tests.support.failures import SECONDS, fail
from tests.support.images import make_cifar10
from tests.support.jobs import Job, journal_scalars

SLOW = pytest.mark.slow
SAID = {
    "kill": ("was killed", "SIGKILL"),
    "raise": ("raised an error", "ValueError: the third image is a cat"),
    "exit": ("ended", "Exit status 3."),
    "loop": ("kept the others waiting", "in _loop"),
    "stop": ("kept the others waiting", "It doesn't say where it is"),
    "leave": ("left", "while others were still at work"),
}
WHERE = {
    "start": "while setting up",
    "training": "in training, epoch 1, after step 5",
    "validation": "in validation, epoch 1, after step ",
}
CASES = [
    pytest.param("mpi_for_devices", 1, how, when, marks=[] if (how, when) == ("kill", "training") else SLOW)
    for how in ("kill", "raise", "exit", "loop")
    for when in WHERE
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
FURTHER = [
    pytest.param("none", 1, "stop", "training", marks=SLOW),
    pytest.param("torchrun", 1, "leave", "training", marks=SLOW),
]


@pytest.mark.parametrize(("shape", "nodes", "how", "when"), [*CASES, *OTHER_SHAPES, *FURTHER])
def test_a_rank_that_fails_ends_the_job(shape: str, nodes: int, how: str, when: str, tmp_path: Path) -> None:
    outcome = fail(tmp_path, shape, nodes, how, when)

    assert (outcome.left, outcome.seconds < SECONDS) == ([], True)
    assert all(status != 0 for status in outcome.statuses)
    story, last = SAID[how]
    assert outcome.report.count("FAILED: ") == 1
    assert "FAILED: rank 1 (node 0, " in outcome.report
    assert f"{story}, {WHERE[when]}" in outcome.report
    assert last in outcome.report
    # a launcher may have the last word in its own log, and speak between the lines, but no training process does
    end = outcome.report.strip().splitlines()[-1]
    assert end in outcome.log
    assert "pytorch_lightning/" not in outcome.log.rpartition(end)[2]


@pytest.mark.parametrize("how", ["kill", "raise"])
@pytest.mark.slow
def test_rank_0_may_be_the_one(how: str, tmp_path: Path) -> None:
    outcome = fail(tmp_path, "mpi_for_devices", 1, how, "training", rank=0)

    assert (outcome.left, outcome.seconds < SECONDS) == ([], True)
    assert "FAILED: rank 0 (node 0, " in outcome.report
    assert SAID[how][1] in outcome.report
    assert all(status != 0 for status in outcome.statuses)


def test_what_was_logged_before_is_at_the_service_when_the_job_ends(job: Job) -> None:
    flags = [
        "--model",
        "tests.support.failing_module.Failing",
        "--data",
        "datamodules.CIFAR10DataModule",
        "--data.val_split",
        "40",
    ]
    place = ["--trainer.devices", "2", "--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "1"]
    failing = {"FAIL_HOW": "raise", "FAIL_WHEN": "training", "FAIL_RANK": "1", "FAIL_NOTES": str(job.folder)}
    data = make_cifar10(job.folder / "cifar")

    outcome = job.run("-m", "lightning_app.fit", *flags, *place, "--data_path", str(data), **failing)

    assert outcome.status == 1
    assert outcome.err.rstrip().endswith("ValueError: the third image is a cat")
    assert "FAILED: rank 1 (node 0, 127.0.0.1) raised an error, in training, epoch 1, after step 5" in outcome.err
    logged = journal_scalars(job.folder / "outputs")
    assert [step for step, _ in logged["train_loss"]] == [1, 2, 3, 4, 5]
    assert job.scalars() == logged


@pytest.mark.slow
def test_a_rank_on_another_node_is_named_with_it(tmp_path: Path) -> None:
    outcome = fail(tmp_path, "pytorch_for_devices", 2, "kill", "training", rank=3)

    assert (outcome.left, outcome.seconds < SECONDS) == ([], True)
    assert "FAILED: rank 3 (node 1, 10.77.0.2) was killed, in training" in outcome.report
    assert all(status != 0 for status in outcome.statuses)
