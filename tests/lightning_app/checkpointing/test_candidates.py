"""Which checkpoint of a run is used, and what becomes of those that can't be: the table in docs/resume.md."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_app.checkpointing.candidates import attempts, candidates, choose
from lightning_app.checkpointing.pickled_step import pickled_step
from lightning_app.checkpointing.resume import plan_resume
from lightning_app.checkpointing.resume_plan import ResumePlan
from lightning_app.checkpointing.sidecar import sidecar_path
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from tests.support.checkpoint_files import content, damage, describe, write

CONFIG: dict[str, Any] = {
    "seed_everything": 0,
    "trainer": {"max_epochs": 9},
    "model": {"class_path": "models.CifarNet", "init_args": {"learning_rate": 0.001}},
    "data": {"class_path": "datamodules.CIFAR10DataModule", "init_args": {"data_path": "/mnt/a"}},
    "resume": "auto",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run with its last checkpoint, after 40 steps, two earlier ones and the best one."""
    monkeypatch.chdir(tmp_path)
    made = RunFolder(tmp_path / "outputs")
    write(made.last, 4)
    write(made.earlier(30), 3)
    write(made.earlier(20), 2)
    write(made.best, 1)
    made.config.write_text(yaml.safe_dump(CONFIG))
    return made


def names(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in folder.last.parent.iterdir())


def plan_at(path: Path, epochs: int) -> ResumePlan:
    return ResumePlan(path, epochs_done=epochs, steps_done=10 * epochs)


def test_the_last_one_is_used_and_nothing_is_loaded_or_changed_for_that(folder: RunFolder) -> None:
    before = {path: path.read_bytes() for path in folder.last.parent.iterdir()}

    assert [each.path.name for each in candidates(folder)] == [
        "last.ckpt",
        "step-000000030.ckpt",
        "step-000000020.ckpt",
        "best.ckpt",
    ]
    assert plan_resume(folder, "auto", CONFIG) == plan_at(folder.last, 4)
    assert {path: path.read_bytes() for path in folder.last.parent.iterdir()} == before


DAMAGES = {
    "truncated": "it has ",
    "empty": "it is empty",
    "flipped": "it is damaged: its hash is wrong",
    "text": "it is damaged: its hash is wrong",
    "truncated, no sidecar": "it is truncated, or not a checkpoint",
    "empty, no sidecar": "it is empty",
    "flipped, no sidecar": "it is damaged: its checksum is wrong",
    "text, no sidecar": "it is truncated, or not a checkpoint",
}


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_one_is_named_and_kept_and_the_next_one_used(
    folder: RunFolder, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    damage(folder.last, how)
    damaged = folder.last.read_bytes()

    plan = plan_resume(folder, "auto", CONFIG)

    assert plan == plan_at(folder.earlier(30), 3)
    (line,) = caplog.messages
    assert line.startswith(f"{folder.last}: {DAMAGES[how]}")
    assert line.endswith(f"; it is now last.ckpt.damaged, and {folder.earlier(30)} is used in its place.")
    assert folder.last.with_name("last.ckpt.damaged").read_bytes() == damaged
    assert not folder.last.exists()
    assert not sidecar_path(folder.last).exists()
    caplog.clear()
    assert plan_resume(folder, "auto", CONFIG) == plan
    assert caplog.messages == []


def test_the_last_three_may_be_damaged(folder: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    damage(folder.last, "truncated")
    damage(folder.earlier(30), "flipped")
    damage(folder.earlier(20), "empty, no sidecar")

    assert plan_resume(folder, "auto", CONFIG) == plan_at(folder.best, 1)
    assert len(caplog.messages) == 3
    assert len([name for name in names(folder) if name.endswith(".damaged")]) == 3


def test_where_all_are_damaged_the_run_starts_again_in_place_and_they_are_kept(
    folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    for each in candidates(folder):
        damage(each.path, "flipped")

    assert plan_resume(folder, "auto", CONFIG) == ResumePlan()
    assert "the run starts again from its beginning, because no other checkpoint is there" in caplog.messages[0]
    assert len([name for name in names(folder) if name.endswith(".ckpt.damaged")]) == 4
    assert plan_resume(folder, "auto", CONFIG) == ResumePlan()


def test_a_second_damaged_one_of_the_same_name_takes_the_place_of_none(folder: RunFolder) -> None:
    for _ in range(2):
        write(folder.last, 4)
        damage(folder.last, "flipped")
        plan_resume(folder, "auto", CONFIG)

    assert {"last.ckpt.damaged", "last.ckpt.damaged-2", "last.ckpt.damaged-2.json"} <= set(names(folder))


def test_after_the_first_of_two_renames_the_earlier_one_is_used(folder: RunFolder) -> None:
    """``last.ckpt`` was renamed, the file beside it wasn't yet, and the new one has no name yet."""
    folder.last.rename(folder.earlier(40))

    assert plan_resume(folder, "auto", CONFIG) == plan_at(folder.earlier(40), 4)


def test_a_new_one_beside_the_sidecar_of_the_one_before_is_whole(
    folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(content(5), folder.last)

    assert plan_resume(folder, "auto", CONFIG) == plan_at(folder.last, 5)
    assert caplog.messages == []
    torch.save(content(60000), folder.last)  # of another length
    assert choose(candidates(folder)).rejected == ()


def test_without_the_file_beside_it_a_checkpoint_is_used(folder: RunFolder) -> None:
    for each in candidates(folder):
        sidecar_path(each.path).unlink()

    assert [each.step for each in candidates(folder)] == [40, 30, 20, 10]
    assert plan_resume(folder, "auto", CONFIG) == plan_at(folder.last, 4)


def test_steps_decide_and_no_time_of_a_file(folder: RunFolder) -> None:
    """The clock was set back before the newest one was written."""
    os.utime(folder.last, (1, 1))
    os.utime(folder.best, (2**31, 2**31))

    assert plan_resume(folder, "auto", CONFIG).checkpoint == folder.last
    write(folder.earlier(50), 5)
    assert plan_resume(folder, "auto", CONFIG).checkpoint == folder.earlier(50)
    write(folder.best, 5)
    assert plan_resume(folder, "auto", CONFIG).checkpoint == folder.earlier(50)
    write(folder.best, 6)
    assert plan_resume(folder, "auto", CONFIG).checkpoint == folder.best


class Hostile:
    """Creates a folder when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("unpickled",)


def test_a_hostile_pickle_is_never_carried_out(folder: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    write(folder.last, 4, callbacks=Hostile())

    assert pickled_step(folder.last) == 40
    assert plan_resume(folder, "auto", CONFIG) == plan_at(folder.earlier(30), 3)
    assert "it holds something other than tensors and plain values, which isn't loaded" in caplog.text
    assert "last.ckpt.damaged" in names(folder)
    assert not Path("unpickled").exists()


def test_a_bare_pickle_is_never_carried_out(folder: RunFolder) -> None:
    folder.last.write_bytes(pickle.dumps({"global_step": 40, "state_dict": Hostile()}))
    describe(folder.last, 40, 4)

    assert plan_resume(folder, "auto", CONFIG).checkpoint == folder.earlier(30)
    assert not Path("unpickled").exists()


def test_where_none_can_be_used_although_not_all_are_damaged_the_command_is_refused(folder: RunFolder) -> None:
    """The files aren't what this program writes: starting again could be a mistake."""
    write(folder.last, 4, callbacks=Hostile())
    for each in candidates(folder)[1:]:
        damage(each.path, "flipped")
    before = names(folder)

    with pytest.raises(UsageError, match=r"last\.ckpt': can't be read .* give --resume never .*, or --resume PATH"):
        plan_resume(folder, "auto", CONFIG)
    assert names(folder) == before


def test_a_checkpoint_of_another_model_is_refused_and_stays(folder: RunFolder) -> None:
    write(folder.last, 4, hyper_parameters={"_class_path": "models.ResNetTransfer"})
    before = names(folder)

    with pytest.raises(UsageError, match=r"is a checkpoint of models\.ResNetTransfer, but --model is models\.CifarNet"):
        plan_resume(folder, "auto", CONFIG)
    assert names(folder) == before


def test_a_run_with_other_settings_is_left_as_it_is(folder: RunFolder) -> None:
    damage(folder.last, "flipped")
    before = names(folder)
    other = CONFIG | {"seed_everything": 5}

    with pytest.raises(UsageError, match="holds a run with other settings"):
        plan_resume(folder, "auto", other)
    assert names(folder) == before


def test_of_a_run_folder_elsewhere_the_newest_whole_one_is_used_and_nothing_renamed(
    folder: RunFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(folder.last, "truncated")
    before = names(folder)
    new = RunFolder(tmp_path / "new")

    for named in (folder.root, folder.root.parent):
        assert plan_resume(new, str(named), CONFIG) == plan_at(folder.earlier(30), 3)

    assert names(folder) == before
    assert f"{folder.earlier(30)} is used in its place." in caplog.text


def test_what_cannot_be_used_elsewhere_is_one_line(folder: RunFolder, tmp_path: Path) -> None:
    new = RunFolder(tmp_path / "new")
    for each in candidates(folder):
        damage(each.path, "empty")
    with pytest.raises(UsageError, match=r"last\.ckpt': it is empty; '.*outputs' has no other one that can be used"):
        plan_resume(new, str(folder.root), CONFIG)
    with pytest.raises(UsageError, match=r"no 'checkpoints/last\.ckpt' and no 'outputs/checkpoints/last\.ckpt' in"):
        plan_resume(new, str(folder.charts.parent / "checkpoints"), CONFIG)


def test_the_folders_of_other_attempts_are_found_below_and_beside_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = [
        "outputs/run/retry_003",
        "outputs/retry_002/run",
        "outputs/retry_001/run",
        "retry_004/outputs/run",
    ]
    for name in (*expected, "outputs/retry_001x/run", "outputs/other/retry_001", "retry_005"):
        (tmp_path / name / ("checkpoints" if name != "retry_005" else "")).mkdir(parents=True, exist_ok=True)

    found = [str(each.root) for each in attempts(RunFolder(Path("outputs/run")))]

    assert found == expected
    assert [str(each.root) for each in attempts(RunFolder(tmp_path / "outputs" / "run"))] == expected
