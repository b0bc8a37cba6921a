"""What another attempt of a run has left elsewhere is brought into the run folder, and the run continues there."""

import resource
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_app.azureml.journal import Journal, read_journal
from lightning_app.azureml.journal_identity import read_identity
from lightning_app.checkpointing.resume import plan_resume
from lightning_app.checkpointing.resume_plan import ResumePlan
from lightning_app.checkpointing.run_lock import RunLock
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from tests.lightning_app.checkpointing.test_candidates import CONFIG
from tests.support.checkpoint_files import damage, write
from tests.support.images import make_cifar10
from tests.support.in_process import run_in_process
from tests.support.jobs import logged_rows

FLAGS = ("--data_path", "images", "--data.val_split", "40", "--batch_size", "20", "--data.augment", "true")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """An empty disk."""
    monkeypatch.chdir(tmp_path)
    return RunFolder(Path("outputs"))


def leave(root: str, epochs: int, config: dict[str, Any] = CONFIG, **more: Any) -> RunFolder:
    """A run folder as another attempt has left it, with a journal of as many rows as epochs."""
    left = RunFolder(Path(root))
    write(left.last, epochs, **more)
    left.config.write_text(yaml.safe_dump(config))
    journal = Journal(left)
    for epoch in range(epochs):
        journal.append(10 * (epoch + 1), epoch, {"loss": 1.0})
    left.hyperparameters.write_text("seed: 0\n")
    return left


PLACES = ["outputs/retry_001", "retry_001", "retry_001/outputs"]


@pytest.mark.parametrize("place", PLACES)
def test_another_attempts_run_is_brought_here_with_what_belongs_to_it(
    folder: RunFolder, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    left = leave(place, 3)
    write(left.best, 2)
    left.best_metrics.write_text("{}")
    left.charts.mkdir()
    (left.charts / "a-step20.json").write_text("{}")

    plan = plan_resume(folder, "auto", CONFIG)

    assert plan == ResumePlan(folder.last, epochs_done=3, steps_done=30)
    for name in ("checkpoints/last.ckpt.json", "checkpoints/best.ckpt", "checkpoints/best.ckpt.json", "config.yaml",
                 "checkpoints/best.json", "hparams.yaml", ".journal.json", "charts/a-step20.json"):  # fmt: skip
        assert (folder.root / name).read_bytes() == (left.root / name).read_bytes(), name
    assert logged_rows(folder.root) == logged_rows(left.root)
    assert caplog.messages == [
        f"{place}/checkpoints/last.ckpt: this run's newest checkpoint, after 30 steps, was brought to outputs."
    ]
    assert plan_resume(folder, "auto", CONFIG) == plan


def test_of_several_attempts_the_one_with_the_most_steps_counts(folder: RunFolder) -> None:
    leave("outputs/retry_001", 4)
    leave("outputs/retry_002", 2)
    write(folder.last, 3)
    folder.config.write_text(yaml.safe_dump(CONFIG))

    plan = plan_resume(folder, "auto", CONFIG)

    assert plan == ResumePlan(folder.last, epochs_done=4, steps_done=40)
    assert folder.earlier(30).exists()  # the folder's own one is kept


def test_the_folders_own_checkpoint_counts_before_another_one_with_as_many_steps(folder: RunFolder) -> None:
    leave("outputs/retry_001", 3)
    write(folder.last, 3)
    folder.config.write_text(yaml.safe_dump(CONFIG))
    written = folder.last.stat().st_ino

    assert plan_resume(folder, "auto", CONFIG).checkpoint == folder.last
    assert folder.last.stat().st_ino == written


def test_a_damaged_one_elsewhere_is_named_too(folder: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    damage(leave("outputs/retry_002", 4).last, "flipped")
    leave("outputs/retry_001", 3)

    assert plan_resume(folder, "auto", CONFIG).steps_done == 30
    assert caplog.messages[0] == (
        "outputs/retry_002/checkpoints/last.ckpt: it is damaged: its hash is wrong; it is now last.ckpt.damaged, and "
        "outputs/retry_001/checkpoints/last.ckpt is used in its place."
    )


def test_the_second_folder_is_one_of_the_places(folder: RunFolder, tmp_path: Path) -> None:
    leave("mount/run", 3)

    plan = plan_resume(folder, "auto", CONFIG, RunFolder(Path("mount/run")), RunLock(folder))

    assert plan == ResumePlan(folder.last, epochs_done=3, steps_done=30)
    assert (
        plan_resume(RunFolder(tmp_path / "mount" / "run"), "auto", CONFIG, RunFolder(Path("mount/run"))).steps_done
        == 30
    )


@pytest.mark.parametrize("change", [{"seed_everything": 4}, {"data": None}])
def test_another_run_there_is_not_used(folder: RunFolder, change: dict[str, Any]) -> None:
    left = leave("mount", 3, CONFIG | change)
    leave("outputs/retry_001", 3, CONFIG | change)

    assert plan_resume(folder, "auto", CONFIG) == ResumePlan()
    with pytest.raises(UsageError, match="--checkpoint_dir 'mount': holds the checkpoints of another run"):
        plan_resume(folder, "auto", CONFIG, left)


def test_settings_that_cannot_be_read_there_are_named(folder: RunFolder) -> None:
    left = leave("mount", 3)
    left.config.write_text("{")

    with pytest.raises(UsageError, match=r"config\.yaml.*can't be read \(it is not YAML\)"):
        plan_resume(folder, "auto", CONFIG, left)


def test_a_restart_on_an_empty_disk_continues_before_it_takes_another_runs_checkpoint(folder: RunFolder) -> None:
    leave("first", 2)
    config = CONFIG | {"resume": "first"}
    assert plan_resume(folder, "first", config).checkpoint == Path("first/checkpoints/last.ckpt")

    leave("mount", 3, config)

    assert plan_resume(folder, "first", config, RunFolder(Path("mount"))) == ResumePlan(
        folder.last, epochs_done=3, steps_done=30
    )


def test_what_the_folder_has_logged_stays_where_it_is_more_or_is_moved(folder: RunFolder) -> None:
    left = leave("outputs/retry_001", 3)
    own = Journal(folder)
    own.append(5, 0, {"loss": 2.0})
    folder.config.write_text(yaml.safe_dump(CONFIG))

    plan_resume(folder, "auto", CONFIG)
    assert logged_rows(folder.root) == logged_rows(left.root)
    assert [row["step"] for row in read_journal(folder.previous / "001" / "metrics.jsonl")] == [5]

    with folder.journal.open("a") as file:
        file.write('{"step": 31, "metrics": {}}\n')
    damage(folder.last, "empty")
    damage(folder.best, "empty") if folder.best.exists() else None
    plan_resume(folder, "auto", CONFIG)
    assert [row["step"] for row in read_journal(folder.journal)] == [10, 20, 30, 31]


def test_a_journal_without_its_identity_gets_that_of_the_checkpoint(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning_app.azureml.job.REQUIRED", ("AZUREML_RUN_ID",))
    monkeypatch.setenv("AZUREML_RUN_ID", "run_1")
    positions = {"other/outputs#1": 9, "run_1/outputs#2": 3}
    leave("outputs/retry_001", 3, metrics_journals=positions).journal_identity.unlink()

    plan_resume(folder, "auto", CONFIG)

    identity = read_identity(folder)
    assert identity is not None
    assert (identity.id, identity.generation, identity.first_row, identity.run) == ("run_1/outputs#2", 2, 0, "run_1")


def test_a_file_that_does_not_fit_is_one_line_and_the_next_start_finds_the_same_one(folder: RunFolder) -> None:
    leave("outputs/retry_001", 3)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # all files but the checkpoint are shorter
    try:
        with pytest.raises(UsageError, match=r"ckpt can't be written here \(File too large\)"):
            plan_resume(folder, "auto", CONFIG)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert [path.name for path in folder.last.parent.iterdir()] == []
    assert plan_resume(folder, "auto", CONFIG).steps_done == 30


def test_a_run_whose_folder_is_lost_ends_like_one_that_was_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(Path("images"))
    fit = ("fit", *FLAGS, "--trainer.log_every_n_steps", "4", "--num_epochs")
    assert run_in_process(*fit, "3", "--output_dir", "whole").status == 0
    assert run_in_process(*fit, "2", "--output_dir", "outputs/retry_001/again").status == 0
    journal = Path("outputs/retry_001/again/metrics.jsonl")
    journal.write_text("".join(line for line in journal.read_text().splitlines(True) if "test_loss" not in line))

    outcome = run_in_process(*fit, "3", "--output_dir", "outputs/again")

    assert (outcome.status, outcome.err) == (0, "")
    assert "outputs/retry_001/again/checkpoints/last.ckpt: this run's newest checkpoint, after 16 steps" in outcome.out
    assert "Continuing from outputs/again/checkpoints/last.ckpt, after 2 epochs and 16 steps." in outcome.out
    one, other = (RunFolder(Path(name)) for name in ("whole", "outputs/again"))
    assert logged_rows(one.root) == logged_rows(other.root)
    for path in (one.last, one.best):
        expected, found = (
            torch.load(each, weights_only=True)["state_dict"] for each in (path, other.last.parent / path.name)
        )
        assert all(torch.equal(value, found[name]) for name, value in expected.items())
