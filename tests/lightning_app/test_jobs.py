"""Training as a job: what the service holds is what the journal holds."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from lightning_app.azureml.job import REQUIRED
from lightning_app.azureml_logger import AzureMLRunLogger
from tests.support.jobs import Job, journal_scalars

FIT = ("-m", "lightning_app.fit", "--trainer.accelerator", "cpu")


def flags(cifar10: Path) -> list[str]:
    return [
        "--data_path",
        str(cifar10),
        "--data.val_split",
        "40",
        "--num_epochs",
        "2",
        "--trainer.log_every_n_steps",
        "5",
    ]


def test_a_run_on_generated_images_is_at_the_service_value_for_value(job: Job) -> None:
    outcome = job.run(*FIT, "--num_epochs", "1", "--data.val_split", "200", "--trainer.log_every_n_steps", "100")

    assert (outcome.status, outcome.err) == (0, "")
    outputs = job.folder / "outputs"
    assert job.scalars() == journal_scalars(outputs)
    assert {
        "train_loss",
        "train_accuracy",
        "learning_rate",
        "val_loss",
        "val_accuracy",
        "val_macro_f1",
        "val_balanced_accuracy",
        "test_loss",
        "test_accuracy",
        "test_macro_f1",
        "test_balanced_accuracy",
        "test_top5_accuracy",
        "test_calibration_error",
    } == set(job.scalars())
    assert len(job.scalars()["train_loss"]) > 20
    run = job.service.run(job.run_id)
    assert run.tags["learning_rate"] == "0.001"
    assert run.tags["batch_size"] == "4"
    assert yaml.safe_load((outputs / "hparams.yaml").read_text())["num_epochs"] == 1
    charts = {name: rows[0] for name, rows in run.metrics.items() if rows[0].step is None}
    assert {name: row.kind for name, row in charts.items()} == {
        "val_confusion_matrix": "azureml.v2.confusion_matrix",
        "val_most_wrong": "azureml.v2.image",
        "val_by_class": "azureml.v1.table",
        "test_confusion_matrix": "azureml.v2.confusion_matrix",
        "test_most_wrong": "azureml.v2.image",
        "test_by_class": "azureml.v1.table",
    }
    for name, row in charts.items():
        if row.kind == "azureml.v1.table":
            assert row.data.keys() == set(json.loads((outputs / "test_metrics.json").read_text())["classes"][0])
            continue
        assert row.data[name].rpartition(f"{run.container}/")[2] in run.artifacts
    matrix = json.loads(next(content for path, content in run.artifacts.items() if "val_confusion_matrix" in path))
    assert sum(map(sum, matrix["data"]["matrix"])) == 200
    assert "rows delivered to run" in outcome.out
    assert "outputs/checkpoints/last.ckpt" in outcome.out


def test_a_resumed_run_continues_its_charts(job: Job, cifar10: Path) -> None:
    first = job.run(*FIT, *flags(cifar10), "--num_epochs", "1")
    second = job.run(*FIT, *flags(cifar10))

    assert (first.status, second.status, second.err) == (0, 0, "")
    assert "Continuing from" in second.out
    assert job.scalars() == journal_scalars(job.folder / "outputs")
    assert [step for step, _ in job.scalars()["val_loss"]] == [40, 80]


def test_a_finished_run_delivers_what_was_left_when_its_processes_were_killed(job: Job, cifar10: Path) -> None:
    command = (*FIT, *flags(cifar10), "--num_epochs", "1", "--azureml.exit_timeout", "1")
    job.service.stop()
    first = job.run(*command)
    job.service.start()
    assert "undelivered" in first.err + first.out

    again = job.run(*command, "--azureml.exit_timeout", "60")

    assert (again.status, again.err) == (0, "")
    assert "training is finished" in again.out
    assert job.scalars() == journal_scalars(job.folder / "outputs")
    assert len(job.rows()["test_confusion_matrix"]) == 1


def test_a_run_whose_disk_was_lost_repeats_no_point_of_a_chart(job: Job, cifar10: Path) -> None:
    job.run(*FIT, *flags(cifar10), "--num_epochs", "1")
    shutil.rmtree(job.folder / "outputs")

    again = job.run(*FIT, *flags(cifar10))

    assert (again.status, again.err) == (0, "")
    assert {name: [step for step, _ in points] for name, points in job.scalars().items()} == {
        name: [step for step, _ in points] for name, points in journal_scalars(job.folder / "outputs").items()
    } | {name: [40, 80] for name in job.scalars() if name.startswith("test_")}
    assert len(job.rows()["val_confusion_matrix"]) == 2  # after one epoch, and after two


def test_a_run_whose_disk_was_lost_continues_from_what_azure_ml_keeps(job: Job, cifar10: Path) -> None:
    """Without the files whose names begin with a dot, and with a journal that is older than the checkpoint."""
    job.run(*FIT, *flags(cifar10), "--num_epochs", "1")
    outputs = job.folder / "outputs"
    for path in outputs.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            content = path.read_bytes()
            lines = content.splitlines(keepends=True)
            job.service.add_artifact(
                job.run_id,
                path.relative_to(job.folder).as_posix(),
                b"".join(lines[:-2]) if path.name == "metrics.jsonl" else content,
            )
    before = journal_scalars(outputs)
    shutil.rmtree(outputs)

    again = job.run(*FIT, *flags(cifar10))

    assert (again.status, again.err) == (0, "")
    assert f"outputs/checkpoints/last.ckpt of run {job.run_id} at Azure ML: this run's newest checkpoint" in again.out
    assert "Continuing from outputs/checkpoints/last.ckpt, after 1 epoch and 40 steps." in again.out
    after = journal_scalars(outputs)
    for name, points in job.scalars().items():
        assert points == list(dict.fromkeys([*before[name], *after[name]])), name
        assert len({step for step, _ in points}) == len(points), name
    assert len(job.rows()["val_confusion_matrix"]) == 2


def test_four_processes_log_each_metric_once(job: Job, cifar10: Path) -> None:
    outcome = job.run(*FIT, *flags(cifar10), "--batch_size", "2", "--trainer.devices", "4")

    assert (outcome.status, outcome.err) == (0, "")
    assert job.scalars() == journal_scalars(job.folder / "outputs")
    assert all(len({step for step, _ in points}) == len(points) for points in job.scalars().values())
    assert len(job.scalars()["val_loss"]) == 2


@pytest.mark.parametrize("variable", REQUIRED)
def test_a_variable_that_is_missing_is_named(
    job: Job, variable: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in job.environment().items():
        if name.startswith("AZUREML_"):
            monkeypatch.setenv(name, value)
    monkeypatch.delenv(variable)

    for _ in range(2):
        AzureMLRunLogger(job.folder / "outputs").log_metrics({"a": 1.0}, 1)

    first, *_ = [record.getMessage() for record in caplog.records]
    assert first.startswith(f"Not an Azure ML job: {variable} not set")
    assert journal_scalars(job.folder / "outputs") == {"a": [(1, 1.0)] * 2}
    assert job.rows() == {}


def test_training_itself_imports_nothing_of_azure(job: Job) -> None:
    script = (
        "import sys; from lightning_app.azureml_logger import AzureMLRunLogger; "
        "AzureMLRunLogger().log_metrics({'a': 1.0}, 1); "
        "print([name for name in sys.modules if name.partition('.')[0] in ('azureml', 'azure', 'msrest')])"
    )

    outcome = job.run("-c", script)

    assert outcome.out == "[]\n"
    assert job.scalars() == {"a": [(1, 1.0)]}
