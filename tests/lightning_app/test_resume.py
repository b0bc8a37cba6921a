"""What ``--resume`` decides, with checkpoints in Lightning's format; test_fit has whole runs."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_app.errors import UsageError
from lightning_app.resume import ResumePlan, plan_resume
from lightning_app.run_folder import RunFolder

CONFIG = {
    "seed_everything": 0,
    "trainer": {"max_epochs": 3, "max_steps": -1, "precision": None},
    "model": {"class_path": "models.CifarNet", "init_args": {"learning_rate": 0.001}},
    "data": {"class_path": "datamodules.CIFAR10DataModule", "init_args": {"data_path": "/mnt/a", "batch_size": 4}},
    "resume": "auto",
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def save(folder: RunFolder, epochs: int, config: dict[str, Any] | None = None) -> None:
    folder.last.parent.mkdir(parents=True)
    checkpoint = {
        "state_dict": {},
        "pytorch-lightning_version": "2.6",
        "global_step": epochs * 10,
        "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": epochs}}}},
        "hyper_parameters": {"_class_path": "models.CifarNet"},
    }
    torch.save(checkpoint, folder.last)
    if config:
        folder.config.write_text(yaml.safe_dump(config))


def test_an_empty_folder_starts_a_fresh_run(folder: RunFolder) -> None:
    assert plan_resume(folder, "auto", CONFIG) == ResumePlan()


def test_an_unfinished_run_continues(folder: RunFolder) -> None:
    save(folder, epochs=2, config=CONFIG)

    assert plan_resume(folder, "auto", CONFIG) == ResumePlan(folder.last, epochs_done=2, steps_done=20)


def test_a_run_without_checkpoint_and_settings_is_archived(folder: RunFolder) -> None:
    folder.root.mkdir()
    folder.journal.write_text("")

    assert plan_resume(folder, "auto", CONFIG) == ResumePlan(archive_previous=True)


def test_a_run_that_stopped_before_its_first_checkpoint_starts_again_in_place(folder: RunFolder) -> None:
    folder.root.mkdir()
    folder.journal.write_text("")
    folder.config.write_text(yaml.safe_dump(CONFIG))

    assert plan_resume(folder, "auto", CONFIG) == ResumePlan()
    assert plan_resume(folder, "auto", CONFIG | {"seed_everything": 1}) == ResumePlan(archive_previous=True)


def test_a_finished_run_with_test_metrics_is_tested(folder: RunFolder) -> None:
    save(folder, epochs=3, config=CONFIG)
    assert (plan_resume(folder, "auto", CONFIG).finished, plan_resume(folder, "auto", CONFIG).tested) == (True, False)

    folder.journal.write_text('{"step": 30, "metrics": {"test_loss": 1.0}}\n')

    assert plan_resume(folder, "auto", CONFIG).tested


def test_rank_0_of_several_processes_makes_the_whole_plan(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    save(folder, epochs=3, config=CONFIG)
    folder.journal.write_text('{"step": 30, "metrics": {"test_loss": 1.0}}\n')
    variables = {"RANK": "0", "WORLD_SIZE": "2", "AZUREML_NODE_COUNT": "2", "MASTER_ADDR": "10.0.0.1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    plan = plan_resume(folder, "auto", CONFIG)

    assert plan == ResumePlan(folder.last, epochs_done=3, steps_done=30, finished=True, tested=True)


def test_a_run_continues_with_another_data_path(folder: RunFolder) -> None:
    save(folder, epochs=2, config=CONFIG)
    moved = CONFIG | {"data": {"class_path": "datamodules.CIFAR10DataModule",
                               "init_args": {"data_path": "/mnt/b", "batch_size": 4}}}  # fmt: skip

    assert plan_resume(folder, "auto", moved).checkpoint == folder.last


def test_never_archives_the_earlier_run(folder: RunFolder) -> None:
    save(folder, epochs=2, config=CONFIG)

    assert plan_resume(folder, "never", CONFIG) == ResumePlan(archive_previous=True)
    archived = folder.archive()

    assert not folder.holds_a_run()
    assert RunFolder(archived).holds_a_run()
    assert plan_resume(folder, "never", CONFIG) == ResumePlan()


def test_a_checkpoint_elsewhere_archives_another_run_in_the_folder(folder: RunFolder, tmp_path: Path) -> None:
    save(folder, epochs=2, config=CONFIG)
    other = RunFolder(tmp_path / "other")
    save(other, epochs=1)

    plan = plan_resume(folder, str(other.root), CONFIG | {"resume": str(other.root)})

    assert plan == ResumePlan(other.last, epochs_done=1, steps_done=10, archive_previous=True)


def test_a_restarted_job_continues_from_its_own_last_checkpoint(folder: RunFolder, tmp_path: Path) -> None:
    other = RunFolder(tmp_path / "other")
    save(other, epochs=1)
    config = CONFIG | {"resume": str(other.root)}
    save(folder, epochs=2, config=config)

    assert plan_resume(folder, str(other.root), config).checkpoint == folder.last


def test_another_model_is_refused(folder: RunFolder) -> None:
    save(folder, epochs=2)
    other = CONFIG | {"model": {"class_path": "models.ResNetTransfer", "init_args": {}}}

    with pytest.raises(UsageError, match=r"is a checkpoint of models\.CifarNet, but --model is models\.ResNetTransfer"):
        plan_resume(folder, "auto", other)


def test_a_damaged_checkpoint_is_an_error(folder: RunFolder) -> None:
    folder.last.parent.mkdir(parents=True)
    folder.last.write_text("x")

    with pytest.raises(UsageError, match=r"last\.ckpt': can't be read"):
        plan_resume(folder, "auto", CONFIG)
