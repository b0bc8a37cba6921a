"""A rank that fails ends the job: soon, with an exit code, and with its traceback last in the logs and in outputs/."""

from pathlib import Path

import pytest

from tests.failures import SECONDS, fail

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
    assert "Traceback" not in outcome.log.rpartition(end)[2]


@pytest.mark.parametrize("how", ["kill", "raise"])
@pytest.mark.slow
def test_rank_0_may_be_the_one(how: str, tmp_path: Path) -> None:
    outcome = fail(tmp_path, "mpi_for_devices", 1, how, "training", rank=0)

    assert (outcome.left, outcome.seconds < SECONDS) == ([], True)
    assert "FAILED: rank 0 (node 0, " in outcome.report
    assert SAID[how][1] in outcome.report
    assert all(status != 0 for status in outcome.statuses)


@pytest.mark.slow
def test_a_rank_on_another_node_is_named_with_it(tmp_path: Path) -> None:
    outcome = fail(tmp_path, "pytorch_for_devices", 2, "kill", "training", rank=3)

    assert (outcome.left, outcome.seconds < SECONDS) == ([], True)
    assert "FAILED: rank 3 (node 1, 10.77.0.2) was killed, in training" in outcome.report
    assert all(status != 0 for status in outcome.statuses)
