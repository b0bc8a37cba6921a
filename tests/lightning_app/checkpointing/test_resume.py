"""What ``--resume`` decides, with checkpoints in Lightning's format; test_fit has whole runs."""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_app.checkpointing.position import KEY
from lightning_app.checkpointing.resume import plan_resume
from lightning_app.checkpointing.resume_plan import ResumePlan
from lightning_app.checkpointing.sidecar import Sidecar, read_sidecar
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from tests.support.checkpoint_files import content, counter

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


def save(folder: RunFolder, epochs: int, config: dict[str, Any] | None = None, **more: Any) -> None:
    folder.last.parent.mkdir(parents=True)
    torch.save(content(epochs, **more), folder.last)
    if config:
        folder.config.write_text(yaml.safe_dump(config))


def ended(reason: str, by: str = "") -> dict[str, Any]:
    """What a checkpoint says about the end of its run, within the third epoch."""
    position = {"epoch": 2, "batches": 5, "images": None, "is_last": False, "ends_batch": False}
    end = {"reason": reason, "by": by}
    return {KEY: {"position": position, "processes": [], "end": end, "images": None}}


def interrupted(epoch: Any = 2, **more: Any) -> dict[str, Any]:
    """What a checkpoint says about a run that was stopped."""
    position = {"epoch": epoch, "batches": 5, "images": None, "is_last": False, "ends_batch": False}
    return {"position": position, "processes": [], "end": None, "images": [100]} | more


OPTIMIZER = {"state": {}, "param_groups": [{"params": [0], "lr": 0.1}]}


def with_group(**settings: Any) -> dict[str, Any]:
    return OPTIMIZER | {"param_groups": [{"params": [0]} | settings]}


def with_trainer(**settings: Any) -> dict[str, Any]:
    return CONFIG | {"trainer": CONFIG["trainer"] | settings}  # type: ignore[operator]  # a dict


def test_an_empty_folder_starts_a_fresh_run(folder: RunFolder) -> None:
    assert plan_resume(folder, "auto", CONFIG) == ResumePlan()


def test_an_unfinished_run_continues(folder: RunFolder) -> None:
    save(folder, epochs=2, config=CONFIG)

    assert plan_resume(folder, "auto", CONFIG) == ResumePlan(folder.last, epochs_done=2, steps_done=20)


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_process_that_was_killed_between_a_checkpoint_and_its_sidecar_leaves_nothing_open(
    folder: RunFolder, epochs: int
) -> None:
    save(folder, epochs, CONFIG)
    shutil.copyfile(folder.last, folder.best)

    plan_resume(folder, "auto", CONFIG)

    for path in (folder.last, folder.best):
        written = path.read_bytes()
        expected = Sidecar(10 * epochs, epochs, len(written), hashlib.sha256(written).hexdigest())
        assert read_sidecar(path) == expected


def test_a_damaged_best_checkpoint_without_a_sidecar_stays_as_it_is(folder: RunFolder) -> None:
    save(folder, 3, CONFIG)
    folder.best.write_bytes(folder.last.read_bytes()[:-100])

    assert plan_resume(folder, "auto", CONFIG).finished
    assert read_sidecar(folder.best) is None


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


def test_a_run_that_max_steps_ended_within_an_epoch_has_only_its_complete_epochs(folder: RunFolder) -> None:
    save(folder, epochs=3, config=with_trainer(max_steps=25), **ended("max_steps"), global_step=25)

    plan = plan_resume(folder, "auto", CONFIG)
    same = plan_resume(folder, "auto", with_trainer(max_steps=25))

    assert plan == ResumePlan(folder.last, epochs_done=2, steps_done=25)
    assert same.finished
    assert same.message == "training is finished (25 steps). To continue, raise --trainer.max_steps or leave it out"


@pytest.mark.parametrize("reason", [{"by": "EarlyStopping", "reason": "callback"}, {"reason": "max_time"}])
def test_a_run_that_something_else_has_ended_goes_on_when_its_settings_change(
    folder: RunFolder, reason: dict[str, str]
) -> None:
    callback = {"class_path": "pytorch_lightning.callbacks.EarlyStopping", "init_args": {"patience": 1}}
    config = with_trainer(max_time="00:00:01:00", callbacks=[callback])
    save(folder, epochs=3, config=config, **ended(**reason))

    same = plan_resume(folder, "auto", config)
    later = plan_resume(folder, "auto", with_trainer(max_time="00:02:00:00"))

    assert (same.finished, later.finished) == (True, False)
    assert later.checkpoint == folder.last
    assert "training was ended after 2 epochs and 30 steps by " in same.message


@pytest.mark.parametrize(
    ("setting", "value"),
    [("limit_train_batches", 2), ("overfit_batches", 1), ("precision", "bf16-mixed"), ("sync_batchnorm", True)],
)
def test_settings_of_the_trainer_that_change_what_is_learned_count(folder: RunFolder, setting: str, value: Any) -> None:
    save(folder, epochs=2, config=with_trainer(**{setting: value}))

    with pytest.raises(UsageError, match=rf"other settings \(--trainer\.{setting} was {value}, now None\)"):
        plan_resume(folder, "auto", CONFIG)


def test_a_trial_with_few_batches_does_not_finish_the_real_run(folder: RunFolder) -> None:
    save(folder, epochs=3, config=with_trainer(limit_train_batches=2))

    plan = plan_resume(folder, "auto", CONFIG)

    expected = "which is finished; --trainer.limit_train_batches was 2, now None"
    assert plan == ResumePlan(archive_previous=True, archived=expected)


@pytest.mark.parametrize(
    "settings", [{"devices": 2}, {"enable_progress_bar": False}, {"max_epochs": 5}, {"callbacks": ["EarlyStopping"]}]
)
def test_other_settings_of_the_trainer_may_change(folder: RunFolder, settings: dict[str, Any]) -> None:
    save(folder, epochs=2, config=CONFIG)

    assert plan_resume(folder, "auto", with_trainer(**settings)).checkpoint == folder.last


def test_a_run_of_generated_images_gives_way_to_one_of_real_images_and_not_the_other_way(folder: RunFolder) -> None:
    generated = CONFIG | {"data": {"class_path": "datamodules.CIFAR10DataModule",
                                   "init_args": {"data_path": None, "batch_size": 4}}}  # fmt: skip
    save(folder, epochs=2, config=generated)
    assert plan_resume(folder, "auto", CONFIG) == ResumePlan(archive_previous=True, archived="of generated images")
    assert plan_resume(folder, "auto", generated).checkpoint == folder.last

    folder.config.write_text(yaml.safe_dump(CONFIG))
    with pytest.raises(UsageError, match="its images were real, now they are generated"):
        plan_resume(folder, "auto", generated)


@pytest.mark.parametrize("text", ["{", "- 1", "\x00"])
def test_settings_that_cannot_be_compared_are_refused(folder: RunFolder, text: str) -> None:
    save(folder, epochs=2)
    folder.config.write_text(text)

    with pytest.raises(UsageError, match=r"config\.yaml': can't be read \(it .*delete it, or give --resume never"):
        plan_resume(folder, "auto", CONFIG)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"global_step": "ten"}, "expected a whole number of at least 0 as 'global_step'; found 'ten'"),
        ({"hyper_parameters": [1]}, "expected named values as 'hyper_parameters'; found a list"),
        ({"callbacks": 3}, "expected named values as 'callbacks'; found 3"),
        ({"state_dict": [1]}, "expected named values as 'state_dict'"),
        ({"state_dict": {"weight": 1}}, "expected a tensor or nothing as 'state_dict.weight'; found 1"),
        ({"loops": {}}, "expected named values as 'loops.fit_loop'; found nothing"),
        ({"loops": None}, "expected named values as 'loops'"),
        ({"loops": {"fit_loop": {"epoch_progress": counter(1)}}}, "as 'loops.fit_loop.epoch_loop.batch_progress'"),
        ({"optimizer_states": None}, "expected a list as 'optimizer_states'"),
        ({"optimizer_states": [{"state": {}, "param_groups": {}}]}, "a list as 'optimizer_states.0.param_groups'"),
        ({"optimizer_states": [OPTIMIZER | {"param_groups": [3]}]}, "as 'optimizer_states.0.param_groups.0'; found 3"),
        ({"optimizer_states": [with_group(lr="high")]}, "'optimizer_states.0.param_groups.0.lr'; found 'high'"),
        ({"lr_schedulers": ["step"]}, "expected named values as 'lr_schedulers.0'; found 'step'"),
        ({"global_step": -1}, "expected a whole number of at least 0 as 'global_step'; found -1"),
        ({"callbacks": {"RunCheckpoints": {"best": {"score": 1.0}}}}, "as 'callbacks.RunCheckpoints.best.epoch'"),
        ({"metrics_journals": {"journal#1": "ten"}}, "as 'metrics_journals.journal#1'; found 'ten'"),
        ({KEY: [1]}, "expected named values as 'exact_resume'"),
        ({KEY: {"processes": []}}, "expected named values as 'exact_resume.position'; found nothing"),
        ({KEY: interrupted(position=3)}, "expected named values as 'exact_resume.position'; found 3"),
        ({KEY: interrupted(epoch="two")}, "as 'exact_resume.position.epoch'; found 'two'"),
        ({KEY: interrupted(processes=[1])}, "expected named values as 'exact_resume.processes.0'; found 1"),
        (
            {KEY: interrupted(processes=[{"random": {}}])},
            "'exact_resume.processes.0.before_iterator'; found nothing",
        ),
        ({KEY: interrupted(end="time")}, "expected named values or nothing as 'exact_resume.end'; found 'time'"),
    ],
)
def test_a_checkpoint_of_another_shape_is_one_line(folder: RunFolder, change: dict[str, Any], message: str) -> None:
    save(folder, epochs=2, **change)

    with pytest.raises(UsageError, match=re.escape(message)):
        plan_resume(folder, str(folder.last), CONFIG)


@pytest.mark.parametrize("name", ["loops", "global_step", "optimizer_states", "lr_schedulers"])
def test_weights_alone_are_not_resumed(folder: RunFolder, name: str) -> None:
    folder.last.parent.mkdir(parents=True)
    weights = content(2)
    del weights[name]
    torch.save(weights, folder.last)

    with pytest.raises(UsageError, match=f"no '{name}' in it"):
        plan_resume(folder, str(folder.last), CONFIG)
