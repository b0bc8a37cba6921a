"""``--checkpoint_dir``: a run whose own folder is lost continues from the copies in the second one."""

import shutil
from pathlib import Path

import pytest
import torch

from lightning_app.checkpointing.checkpoint_dir import CheckpointDir
from lightning_app.checkpointing.sidecar import damage as damage_of
from lightning_app.checkpointing.sidecar import read_sidecar
from lightning_app.run_folder import RunFolder
from tests.support.checkpoint_files import damage, write
from tests.support.commands import Outcome
from tests.support.images import make_cifar10
from tests.support.in_process import run_in_process
from tests.support.jobs import logged_rows

COPIES = RunFolder(Path("mounted/copies"))
# 8 steps in an epoch
FLAGS = ("--data_path", "images", "--data.val_split", "40", "--batch_size", "20", "--data.augment", "true")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(Path("images"))


def fit(output_dir: str, *more: str) -> Outcome:
    flags = (*FLAGS, "--num_epochs", "3", "--checkpoint_every", "3", "--output_dir", output_dir, *more)
    outcome = run_in_process("fit", *flags)
    assert outcome.status == 0, outcome.err
    return outcome


def weights(folder: str) -> dict[str, torch.Tensor]:
    content = torch.load(Path(folder) / "checkpoints" / "last.ckpt", weights_only=True)
    state: dict[str, torch.Tensor] = content["state_dict"]
    return state


@pytest.mark.parametrize("damages_newest", [False, True])
def test_a_run_whose_folder_is_lost_ends_as_if_nothing_had_happened(damages_newest: bool) -> None:
    fit("undisturbed")
    second = ("--checkpoint_dir", str(COPIES.root))
    fit("outputs", "--trainer.max_steps", "11", *second)
    shutil.rmtree("outputs")
    if damages_newest:
        damage(COPIES.last, "flipped")

    outcome = fit("outputs", *second)

    copied = "last.ckpt: this run's newest checkpoint, after 11 steps" if not damages_newest else "step-0000000"
    assert f"{COPIES.root}/checkpoints/{copied}" in outcome.out + outcome.err
    assert "Continuing from outputs/checkpoints/last.ckpt, after 1 epoch and " in outcome.out + outcome.err
    for name, value in weights("undisturbed").items():
        assert torch.equal(weights("outputs")[name], value)
        assert torch.equal(weights(str(COPIES.root))[name], value)
    assert logged_rows(Path("outputs")) == logged_rows(Path("undisturbed"))


def test_the_second_folder_holds_whole_checkpoints_and_what_belongs_to_them() -> None:
    fit("outputs", "--checkpoint_dir", str(COPIES.root), "--checkpoint_keep", "1")

    assert damage_of(COPIES.last) == damage_of(COPIES.best) == ""
    assert read_sidecar(COPIES.last) == read_sidecar(RunFolder(Path("outputs")).last)
    assert len(list(COPIES.last.parent.glob("step-*.ckpt"))) == 1
    names = {path.name for path in COPIES.root.iterdir()}
    assert {"config.yaml", "hparams.yaml", "metrics.jsonl", ".journal.json", "checkpoints"} <= names
    assert not [*COPIES.root.rglob("*.tmp")]


def test_another_runs_copies_are_refused_or_moved() -> None:
    fit("outputs", "--checkpoint_dir", str(COPIES.root))
    other = (
        "--output_dir",
        "other",
        "--learning_rate",
        "0.5",
        "--num_epochs",
        "1",
        "--checkpoint_dir",
        str(COPIES.root),
    )

    refused = run_in_process("fit", *FLAGS, *other)
    moved = run_in_process("fit", *FLAGS, *other, "--resume", "never")

    assert refused.status == 2
    assert refused.err.count("\n") == 1
    assert f"--checkpoint_dir '{COPIES.root}': holds the checkpoints of another run (--learning_rate was" in refused.err
    assert moved.status == 0, moved.err
    assert f"{COPIES.root}: the earlier run's copies were moved to {COPIES.root}/previous/001" in moved.out + moved.err
    assert (COPIES.root / "previous/001/checkpoints/last.ckpt").exists()
    assert COPIES.last.exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("outputs", "is the --output_dir"),
        ("https://store/run", "got a URL"),
        ("images/test_batch.bin/x", "is not a folder"),
    ],
)
def test_a_folder_that_cannot_be_one_is_refused(given: str, expected: str) -> None:
    Path("images/test_batch.bin").write_bytes(b"")

    outcome = run_in_process("fit", *FLAGS, "--checkpoint_dir", given)

    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert f"--checkpoint_dir '{given}': " in outcome.err
    assert expected in outcome.err
    assert not Path("outputs").exists()


def test_copies_that_cannot_be_written_cost_a_line_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    folder, second = RunFolder(Path("outputs")), RunFolder(Path("second"))
    write(folder.last, 2)
    sidecar = read_sidecar(folder.last)
    assert sidecar is not None
    copies = CheckpointDir(second, folder, keep=2)
    second.root.mkdir()
    second.last.parent.write_text("a file in its place")

    for _ in range(2):
        copies.copy([folder.last], sidecar)
    second.last.parent.unlink()
    copies.copy([folder.last], sidecar)

    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("--checkpoint_dir second: the state after ")
    assert line.endswith("it is in the run folder, and training goes on.")
    assert damage_of(second.last) == ""
