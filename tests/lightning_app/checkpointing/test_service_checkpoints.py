"""Checkpoints that Azure ML keeps: of this job's run when the disk is empty, and of a run that is named."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lightning_app.azureml.journal import Journal
from lightning_app.azureml.journal_identity import read_identity
from lightning_app.checkpointing.resume import plan_resume
from lightning_app.checkpointing.resume_plan import ResumePlan
from lightning_app.checkpointing.run_lock import RunLock
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from submit.emulator import AzureMLEmulator, Fault
from tests.lightning_app.checkpointing.test_candidates import CONFIG, Hostile
from tests.support.checkpoint_files import damage, write
from tests.support.jobs import Job, logged_rows


@pytest.fixture
def folder(job: Job, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """The empty disk of a node, on which this process is the job."""
    for name, value in job.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(job.folder)
    return RunFolder(Path("outputs"))


def keep(job: Job, name: str, epochs: int, config: dict[str, Any] = CONFIG, run_id: str = "", **more: Any) -> RunFolder:
    """Lets the service keep a run folder of an earlier attempt; returns a copy of it."""
    left = RunFolder(job.folder / "left" / name)
    write(left.last, epochs, metrics_journals={f"{job.run_id}/outputs#1": epochs}, **more)
    write(left.earlier(10 * epochs - 10), epochs - 1)
    write(left.best, 1)
    left.best_metrics.write_text("{}")
    left.config.write_text(yaml.safe_dump(config))
    journal = Journal(left)
    for epoch in range(epochs):
        journal.append(10 * (epoch + 1), epoch, {"loss": 1.0})
    journal.append(10 * epochs + 5, epochs, {"loss": 0.5})
    left.hyperparameters.write_text("seed: 0\n")
    left.delivery_log.write_text("")
    upload(job, left, name, run_id)
    return left


def upload(job: Job, left: RunFolder, name: str, run_id: str = "") -> None:
    """Without the files whose names begin with a dot."""
    for path in left.root.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            job.service.add_artifact(
                run_id or job.run_id, f"{name}/{path.relative_to(left.root).as_posix()}", path.read_bytes()
            )


def downloaded(job: Job) -> list[str]:
    return [
        request.path.partition("dcid.")[2].partition("/")[2].partition("?")[0]
        for request in job.service.requests
        if ".blob." in request.path
    ]


def at_service(job: Job, name: str) -> str:
    return f"{name} of run {job.run_id} at Azure ML"


def test_on_an_empty_disk_the_run_continues_from_what_the_service_keeps(
    job: Job, folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lightning_app")
    keep(job, "outputs", 2)
    left = keep(job, "outputs/retry_001", 4)
    keep(job, "outputs/retry_002", 3)
    job.service.add_artifact(job.run_id, "outputs/charts/a-step10.png", b"a picture")
    job.service.add_artifact(job.run_id, "outputs/previous/001/checkpoints/last.ckpt", b"of another run")

    plan = plan_resume(folder, "auto", CONFIG, lock=RunLock(folder))

    assert plan == ResumePlan(folder.last, epochs_done=4, steps_done=40)
    assert caplog.messages == [
        f"{at_service(job, 'outputs/retry_001/checkpoints/last.ckpt')}: this run's newest checkpoint, after 40 steps, "
        "was brought to outputs."
    ]
    for name in ("checkpoints/last.ckpt.json", "checkpoints/best.ckpt", "checkpoints/best.json", "config.yaml",
                 "hparams.yaml"):  # fmt: skip
        assert (folder.root / name).read_bytes() == (left.root / name).read_bytes(), name
    assert logged_rows(folder.root) == logged_rows(left.root)
    identity = read_identity(folder)
    assert identity is not None
    assert (identity.id, identity.first_row) == (f"{job.run_id}/outputs#1", 0)
    assert {path.name for path in folder.root.iterdir() if path.is_dir()} == {"checkpoints"}
    assert sorted(path for path in downloaded(job) if not path.endswith(".ckpt.json")) == sorted(
        f"outputs/retry_001/{name}"
        for name in (
            *("checkpoints/last.ckpt", "checkpoints/best.ckpt", "checkpoints/best.json", "config.yaml"),
            *("hparams.yaml", "metrics.jsonl"),
        )
    )
    asked = len(job.service.requests)
    assert plan_resume(folder, "auto", CONFIG) == plan
    assert len(job.service.requests) == asked  # the disk isn't empty any more


@pytest.mark.slow
def test_a_run_folder_within_outputs_is_found_in_each_attempt(job: Job, folder: RunFolder) -> None:
    keep(job, "outputs/run", 2)
    keep(job, "outputs/retry_001/run", 3)
    keep(job, "outputs/other", 5)

    assert plan_resume(RunFolder(Path("outputs/run")), "auto", CONFIG).steps_done == 30


def test_damage_at_the_service_costs_steps_only(job: Job, folder: RunFolder, caplog: pytest.LogCaptureFixture) -> None:
    left = keep(job, "outputs", 4)
    damage(left.last, "flipped")
    upload(job, left, "outputs")

    plan = plan_resume(folder, "auto", CONFIG)

    assert plan == ResumePlan(folder.last, epochs_done=3, steps_done=30)
    assert caplog.messages[0] == (
        f"{at_service(job, 'outputs/checkpoints/last.ckpt')}: it is damaged: its hash is wrong; "
        f"{at_service(job, 'outputs/checkpoints/step-000000030.ckpt')} is used in its place."
    )


def test_a_hostile_file_at_the_service_is_never_carried_out(job: Job, folder: RunFolder) -> None:
    keep(job, "outputs", 4, callbacks=Hostile())
    for name in ("outputs/../../x/checkpoints/last.ckpt", "/etc/checkpoints/last.ckpt"):
        job.service.add_artifact(job.run_id, name, b"")

    assert plan_resume(folder, "auto", CONFIG).steps_done == 30
    assert not Path("unpickled").exists()


def test_another_run_at_the_service_is_not_used(job: Job, folder: RunFolder) -> None:
    keep(job, "outputs", 4, CONFIG | {"seed_everything": 3})

    assert plan_resume(folder, "auto", CONFIG) == ResumePlan()
    assert [path for path in folder.root.iterdir() if not path.name.startswith(".run")] == []
    assert downloaded(job)[-1] == "outputs/config.yaml"


@pytest.mark.slow
def test_nothing_at_the_service_leaves_nothing_and_says_nothing(
    job: Job, folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    job.service.add_artifact(job.run_id, "user_logs/std_log.txt", b"hello")

    assert plan_resume(folder, "auto", CONFIG) == ResumePlan()
    assert not folder.root.exists()
    assert caplog.messages == []


def test_a_folder_that_azure_ml_does_not_keep_is_not_asked_for(job: Job, folder: RunFolder) -> None:
    assert plan_resume(RunFolder(Path("elsewhere")), "auto", CONFIG) == ResumePlan()
    assert job.service.requests == []


@pytest.mark.slow
def test_a_failure_that_passes_is_waited_for(job: Job, folder: RunFolder) -> None:
    keep(job, "outputs", 4)
    job.service.inject(Fault.status(503, "/artifact/", times=2))
    job.service.inject(Fault.drop(".blob.", times=2))

    assert plan_resume(folder, "auto", CONFIG).steps_done == 40


FAILURES = {
    "refused": (Fault.status(403, "/artifact/"), 60.0, "status 403"),
    "failing": (Fault.status(500, "/artifact/"), 15.0, "status 500"),
    "silent": (Fault.silence("/artifact/"), 5.0, "no answer within 5 s"),
}


@pytest.mark.parametrize(
    "name", ["refused", *(pytest.param(name, marks=pytest.mark.slow) for name in ("failing", "silent"))]
)
def test_a_service_that_fails_costs_a_bounded_wait_and_one_line(
    job: Job, folder: RunFolder, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fault, seconds, reason = FAILURES[name]
    monkeypatch.setattr("lightning_app.azureml.run_files.FIND_SECONDS", seconds)
    keep(job, "outputs", 4)
    job.service.inject(fault)

    assert plan_resume(folder, "auto", CONFIG) == ResumePlan()
    (line,) = caplog.messages
    assert line.startswith(f"Azure ML: the files of run {job.run_id} can't be read (")
    assert reason in line
    assert line.endswith("), so none is used.")


@pytest.mark.slow
def test_without_the_files_beside_it_the_checkpoint_is_used_and_a_line_says_so(
    job: Job, folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    keep(job, "outputs", 4)
    job.service.inject(Fault.status(403, "contentinfo/ExperimentRun/dcid." + job.run_id + "/outputs/metrics.jsonl"))

    assert plan_resume(folder, "auto", CONFIG).steps_done == 40
    assert f"not all files of run {job.run_id} can be read (" in caplog.text
    assert not folder.journal.exists()


@pytest.mark.slow
def test_a_restart_on_an_empty_disk_continues_before_it_takes_another_runs_checkpoint(
    job: Job, folder: RunFolder
) -> None:
    config = CONFIG | {"resume": "left/outputs"}
    keep(job, "outputs", 4, config)
    write(RunFolder(Path("left/outputs")).last, 2)

    assert plan_resume(folder, "left/outputs", config) == ResumePlan(folder.last, epochs_done=4, steps_done=40)


def test_a_run_that_is_named_gives_its_newest_whole_checkpoint(job: Job, folder: RunFolder) -> None:
    other = job.service.new_run("another").id
    keep(job, "outputs", 2, CONFIG | {"seed_everything": 5}, run_id=other)
    damage(keep(job, "outputs/retry_001", 4, run_id=other).last, "empty")
    upload(job, RunFolder(job.folder / "left/outputs/retry_001"), "outputs/retry_001", other)

    plan = plan_resume(folder, other, CONFIG | {"resume": other}, lock=RunLock(folder))

    assert plan.origin == f"outputs/retry_001/checkpoints/step-000000030.ckpt of run {other} at Azure ML"
    assert (plan.steps_done, plan.archive_previous) == (30, False)
    assert plan.checkpoint is not None
    assert torch.load(plan.checkpoint, weights_only=True)["global_step"] == 30
    assert not folder.last.exists()
    assert not folder.journal.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobodys_run_1", "--resume 'nobodys_run_1': no such file or folder here, and no run of this id could be read "
         "from this job's workspace (no such run); python -m submit list shows its runs"),
        ("runs/nowhere", "--resume 'runs/nowhere': no such file or folder; expected auto, never, a checkpoint, a run "
         "folder or the id of a run"),
        ("nowhere.ckpt", "--resume 'nowhere.ckpt': no such file or folder; expected auto"),
    ],
)  # fmt: skip
def test_what_is_neither_a_path_nor_a_run_is_one_line(job: Job, folder: RunFolder, name: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        plan_resume(folder, name, CONFIG | {"resume": name})

    assert str(raised.value).startswith(message)
    assert not folder.root.exists()


@pytest.mark.slow
def test_a_run_without_checkpoints_is_one_line(job: Job, folder: RunFolder) -> None:
    other = job.service.new_run("another").id

    with pytest.raises(UsageError, match=r"and the run of this id has no 'checkpoints/last\.ckpt' or other checkpoint"):
        plan_resume(folder, other, CONFIG | {"resume": other})


def test_outside_a_job_the_run_is_one_of_the_workspace_in_config_json(
    service: AzureMLEmulator, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, config = RunFolder(Path("runs/here")), CONFIG | {"resume": job.run_id}
    with pytest.raises(UsageError, match=r"the id of a run, for which the config\.json of its workspace must be in"):
        plan_resume(folder, job.run_id, config)
    for name, value in service.workspace_environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZUREML_ACCESS_TOKEN", service.user_token())
    service.write_workspace_config(tmp_path)
    keep(job, "outputs", 4)

    plan = plan_resume(folder, job.run_id, config)

    assert (plan.steps_done, plan.origin) == (40, at_service(job, "outputs/checkpoints/last.ckpt"))
    with pytest.raises(UsageError, match=r"read from the workspace of config\.json \(no such run\)"):
        plan_resume(folder, "nobodys_run_1", config)
