"""A training and its end: what is saved, and the test."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT, environment
from tests.support.in_process import run_in_process

OWN = "tests.support.own_modules"


@pytest.mark.parametrize("has_test", [True, False])
def test_a_datamodule_may_make_its_test_set_when_it_is_set_up_for_the_test(
    has_test: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    outcome = run_in_process(
        "fit", "--model", f"{OWN}.Unsaved", "--data", f"{OWN}.LatePoints", f"--data.has_test={has_test}",
        "--num_epochs", "1", "--trainer.accelerator", "cpu",
    )  # fmt: skip

    assert outcome.status == 0, outcome.err
    assert ("Test:       level 2.0000" in outcome.out) is has_test
    assert outcome.err == ""


@pytest.mark.parametrize(
    "flags", [(), ("--optimizer", "AdamW", "--lr_scheduler", "StepLR", "--lr_scheduler.step_size", "1")]
)
def test_classes_without_parameters_are_trained_resumed_and_tested(
    flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = ("--model", f"{OWN}.Fixed", "--data", f"{OWN}.FixedPoints")
    fit = ("fit", *chosen, "--trainer.accelerator", "cpu", *flags)

    check = subprocess.run(
        [sys.executable, "-m", "lightning_app.check_flags"],
        input=json.dumps([[*chosen, *flags]]),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
    )
    first = run_in_process(*fit, "--num_epochs", "1", "--trainer.limit_train_batches", "2")
    again = run_in_process(*fit, "--num_epochs", "2", "--trainer.limit_train_batches", "2")
    tested = run_in_process("test", "--trainer.accelerator", "cpu")

    assert (check.returncode, check.stdout) == (0, "[null]\n"), check.stderr
    assert [outcome.status for outcome in (first, again, tested)] == [0, 0, 0], first.err + again.err + tested.err
    assert "Finished: 2 epochs, 4 steps" in again.out
    assert "level 2.0000" in tested.out


def test_the_first_validation_of_a_new_run_folder_leaves_the_best_checkpoint_and_its_metrics(
    cifar10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    outcome = run_in_process("fit", "--data_path", str(cifar10), "--data.val_split", "60", "--num_epochs", "1")

    assert outcome.status == 0, outcome.err
    best = json.loads(Path("outputs/checkpoints/best.json").read_text())
    assert (best["monitor"], best["epoch"], best["score"]) == ("val_accuracy", 1, best["metrics"]["val_accuracy"])
    assert Path("outputs/checkpoints/best.ckpt").exists()
