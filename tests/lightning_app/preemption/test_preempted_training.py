"""A training whose machine is taken away ends in time, in each phase, and goes on as one that was never stopped."""

import re
import sys
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.lightning_app.trainer.test_signals import (
    LAST,
    LINES,
    SLOW,
    TWO,
    arguments,
    assert_same_results,
    run,
    steps_saved,
    variables,
)
from tests.support.images import make_cifar10


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(tmp_path / "cifar")


def evicted(service: AzureMLEmulator, when: str, seconds: float, rank: str = "0") -> dict[str, str]:
    """The variables of a training whose machine is announced to be taken away at a moment, in so many seconds."""
    announced = {"EVICTION_URL": service.url, "EVICTION_SECONDS": str(seconds)}
    watched = {
        "LIGHTNING_APP_METADATA_ADDRESS": service.metadata_address("node"),
        "LIGHTNING_APP_LOW_PRIORITY": "1",
    }
    return variables(when, rank=rank) | announced | watched


@pytest.mark.parametrize(
    ("when", "flags"),
    [
        pytest.param("training", ()),
        *(pytest.param(when, (), marks=SLOW) for when in LINES if when != "training"),
        *(pytest.param(when, TWO, marks=SLOW) for when in ("setup", "training", "validation", "test")),
    ],
)
def test_a_preempted_training_ends_with_status_143_and_goes_on(
    when: str, flags: tuple[str, ...], service: AzureMLEmulator
) -> None:
    line, steps = LINES[when]

    first = run([sys.executable, *arguments(*flags)], evicted(service, when, 8))

    assert first.status == 143, first
    assert "Azure takes this machine away: node at " in first.out
    assert re.fullmatch(rf"Stopped by preemption \(node at [^)]*\) {line}", first.err) or flags, first.err
    assert first.err.count("Stopped by preemption (node at ") == 1
    assert "FAILED: " not in first.err
    if not flags:
        assert (steps_saved() if Path(LAST).exists() else None) == steps
    if when == "training" and flags:
        whole = run([sys.executable, *arguments("--output_dir", "whole", *flags)], {})
        second = run([sys.executable, *arguments(*flags)], {})
        assert (whole.status, second.status) == (0, 0), second
        assert_same_results("whole", "outputs")


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_preempted_training_saves_at_the_notice(rank: str, service: AzureMLEmulator) -> None:
    """The end is so far away that the training has ended before."""
    flags = ("--trainer.devices", "2")

    outcome = run([sys.executable, *arguments(*flags)], evicted(service, "training", 600, rank))

    assert (outcome.status, outcome.err) == (0, ""), outcome
    assert len(re.findall(rf"Saved .* because of the notice for node at .*: {LAST}\.", outcome.out)) == 1
