"""Whole runs with a checkpoint that can't be used as it is: damaged, of other classes, in a locked folder."""

import subprocess
from pathlib import Path

import pytest
import torch

from lightning_app.checkpointing.candidates import candidates
from lightning_app.checkpointing.sidecar import sidecar_path
from lightning_app.run_folder import RunFolder
from tests.support.checkpoint_files import damage, describe
from tests.support.commands import command_line, environment, without_privileges
from tests.support.images import make_cifar10, make_image_folder
from tests.support.in_process import run_in_process

FLAGS = ("--data_path", "images", "--batch_size", "20", "--num_epochs")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of one epoch."""
    monkeypatch.chdir(tmp_path)
    make_cifar10(Path("images"))
    assert run_in_process("fit", *FLAGS, "1", "--output_dir", "first").status == 0
    return RunFolder(Path("first"))


def test_other_classes_are_refused_and_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_image_folder(Path("photos"))
    flags = ("--model", "ResNetTransfer", "--model.weights", "none", "--data.image_size", "32", "--data_path", "photos")
    assert run_in_process("fit", *flags, "--num_epochs", "1", "--output_dir", "first").status == 0
    for split in ("train", "val"):
        (Path("photos") / split / "dark").rename(Path("photos") / split / "grey")
    before = {path: path.stat().st_mtime_ns for path in Path("first").rglob("*")}

    outcome = run_in_process("fit", *flags, "--num_epochs", "2", "--output_dir", "first")

    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "holds the classes grey, light, but 'first/checkpoints/last.ckpt' was trained on dark, light" in outcome.err
    assert {path: path.stat().st_mtime_ns for path in Path("first").rglob("*")} == before


def test_a_folder_without_permission_to_write_may_be_continued_from_but_not_in(folder: RunFolder) -> None:
    earlier = folder.earlier(5)
    earlier.write_bytes(folder.last.read_bytes())
    describe(earlier, 5, 0)
    damage(folder.last, "empty")
    names = sorted(path.name for path in folder.last.parent.iterdir())
    paths = [folder.root, folder.last.parent]
    for path in paths:
        path.chmod(0o555)
    try:
        inside, beside = (
            subprocess.run(
                [*without_privileges(), *command_line("fit", *FLAGS, "2", *further)],
                capture_output=True, text=True, timeout=300, env=environment(),
            )
            for further in (["--output_dir", "first"], ["--output_dir", "second", "--resume", "first"])
        )  # fmt: skip
    finally:
        for path in paths:
            path.chmod(0o755)

    assert (inside.returncode, beside.returncode) == (2, 0), beside.stderr
    assert inside.stderr == "error: --output_dir 'first': can't be written (Permission denied); give another folder\n"
    assert f"it is empty; {earlier} is used in its place." in beside.stdout
    assert sorted(path.name for path in folder.last.parent.iterdir()) == names


def test_a_lost_bit_costs_an_epoch_and_the_end_is_the_same(folder: RunFolder) -> None:
    folder.last.rename(folder.earlier(10))
    if sidecar_path(folder.last).exists():
        sidecar_path(folder.last).rename(sidecar_path(folder.earlier(10)))
    assert run_in_process("fit", *FLAGS, "2", "--output_dir", "first").status == 0
    damage(folder.last, "flipped, no sidecar" if sidecar_path(folder.last).exists() else "flipped")

    resumed = run_in_process("fit", *FLAGS, "3", "--output_dir", "first")
    whole = run_in_process("fit", *FLAGS, "3", "--output_dir", "whole")

    assert (resumed.status, whole.status) == (0, 0), resumed.err
    assert "it is now last.ckpt.damaged, and first/checkpoints/step-000000010.ckpt is used in its place." in resumed.out
    assert "Continuing from first/checkpoints/step-000000010.ckpt, after 1 epoch and 10 steps." in resumed.out
    one, other = (torch.load(f"{name}/checkpoints/last.ckpt", weights_only=True) for name in ("first", "whole"))
    assert all(torch.equal(value, other["state_dict"][name]) for name, value in one["state_dict"].items())
    assert candidates(folder)[0].path == folder.last
