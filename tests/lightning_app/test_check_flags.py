"""Flags that are checked without a training, by ``python -m lightning_app.check_flags``."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_app.check_flags import error_of
from tests.support.commands import environment
from tests.support.in_process import run_in_process


@pytest.mark.parametrize(
    "flags",
    [
        ["--batch_size", "0"],
        ["--batch_size", "16.0"],
        ["--learning_rat", "0.1"],
        ["--momentum", "1"],
        ["--num_workers", "-1"],
        ["--trainer.max_epochs", "-2"],
        ["--model", "ResNetTransfer", "--model.step_size", "0"],
        ["--data", "ImageFolderDataModule", "--data.image_size", "0"],
        ["--azureml.exit_timeout", "-1"],
        ["--ckpt_path", "x.ckpt"],
    ],
)
def test_the_error_is_that_of_the_training(flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    trained = run_in_process("fit", *flags)

    assert trained.status == 2
    assert trained.err == f"error: {error_of(flags)}\n"


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--trainer.accelerator", "gpu", "--trainer.precision", "16-mixed"],  # this machine may have none
        ["--num_workers", "400"],  # a node may have the cores for them
        ["--model", "ResNetTransfer", "--model.depth", "152", "--model.weights", "no/such/file.pth"],
        ["--resume", "no/such/file.ckpt"],
        ["--output_dir", "/proc/none"],
    ],
)
def test_what_depends_on_the_machine_is_left_to_the_job(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert error_of(flags) is None
    assert list(tmp_path.iterdir()) == []


# at most so much more than after a small network, in kB
MEMORY = """
import json, resource
from lightning_app.check_flags import error_of
network = ["--model", "ResNetTransfer", "--model.architecture"]
errors = [error_of([*network, "regnet_y_400mf"])]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
errors.append(error_of([*network, "regnet_y_128gf"]))
print(json.dumps([errors, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""


def test_a_large_network_needs_no_memory_for_its_weights(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=200
    )

    errors, more = json.loads(done.stdout)
    assert errors == [None, None]
    assert more < 100_000  # its weights have 2,580,000


def test_a_class_of_the_users_is_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "huge_model.py").write_text(
        "from models import CifarNet\nclass Huge(CifarNet):\n    def __init__(self, size: int = 1):\n        1 / 0\n"
    )

    assert error_of(["--model", "huge_model.Huge", "--model.size", "2"]) is None
    assert error_of(["--model", "huge_model.Huge", "--model.size", "x"]) == "--model.size x: expected a whole number"


@pytest.mark.slow
def test_the_program_answers_for_each_list_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text("from models import CifarNet\nprint('hello')\nclass Net(CifarNet): ...\n")
    lists = [[], ["--batch_size", "0"], ["--model", "chatty.Net"]]

    done = subprocess.run(
        [sys.executable, "-m", "lightning_app.check_flags"],
        input=json.dumps(lists),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=200,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [None, "--batch_size 0: expected a whole number from 1 to 1,000,000", None]
