"""Rows logged = rows in the journal = values at the service, in order, whatever is done with one logger."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightning_app.azureml.journal import read_journal
from lightning_app.azureml_logger import AzureMLRunLogger
from submit.emulator import Fault
from tests.support.commands import ROOT
from tests.support.fits import FITS, RecordingLogger, Row, killed_and_continued
from tests.support.jobs import Job, journal_scalars
from tests.support.lines import fit_line

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),  # both parts of a continued run share it
    pytest.mark.filterwarnings("ignore:.*ended before the epoch ended"),  # which rows come is the point
    pytest.mark.filterwarnings("ignore:You passed `Trainer\\(accumulate"),
]
ALL = str(ROOT / "tests" / "support" / "fits.py")


def written(folder: Path) -> list[Row]:
    return [(row["step"], row.get("epoch"), row["metrics"]) for row in read_journal(folder / "metrics.jsonl")]


def plain(rows: list[list[Any]]) -> list[Row]:
    return [(step, epoch, metrics) for step, epoch, metrics in rows]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AZUREML_RUN_ID", raising=False)
    monkeypatch.setattr(RecordingLogger, "logged", {})
    monkeypatch.chdir(tmp_path)
    return Path("outputs")


@pytest.mark.parametrize("name", FITS)
def test_outside_a_job_every_row_is_in_the_journal(folder: Path, name: str) -> None:
    FITS[name](RecordingLogger(folder))

    assert written(folder) == RecordingLogger.logged["outputs"]
    assert len(written(folder)) > 1
    assert not (folder / "previous").exists()


def test_outside_a_job_a_continued_run_repeats_no_row(folder: Path) -> None:
    fit_line(AzureMLRunLogger("undisturbed"), max_epochs=3, enable_checkpointing=False)

    killed_and_continued(RecordingLogger(folder), RecordingLogger(folder), "checkpoints")

    kept = [(step, epoch, list(metrics)) for step, epoch, metrics in written(folder)]
    assert kept == [(step, epoch, list(metrics)) for step, epoch, metrics in written(Path("undisturbed"))]
    assert len(RecordingLogger.logged["outputs"]) > len(kept)


def test_outside_a_job_a_foreign_line_gets_one_message(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step": 1, "metrics": {"a": 1}}\n<html>\n\n')

    for _ in range(2):
        AzureMLRunLogger(folder).log_metrics({"a": 2.0}, 2)

    assert [step for step, _, _ in written(folder)] == [1, 2, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "outputs/metrics.jsonl: line 2 and 1 other: found '<html>', expected a row such as "
        '{"step": 1, "metrics": {"loss": 0.5}}; it is skipped and may stay where it is, all rows are used.'
    ]


def test_in_a_job_every_value_is_at_the_service_under_a_name_of_its_folder(job: Job) -> None:
    outcome = job.run(ALL)

    assert outcome.status == 0, outcome.err
    logged = {Path(folder).name: plain(rows) for folder, rows in json.loads(outcome.out.splitlines()[-1]).items()}
    folders = {name: job.folder / "outputs" / name for name in logged}
    journals = {name: written(folder) for name, folder in folders.items()}
    assert list(journals) == [*FITS, "continued"]
    assert {name: rows for name, rows in journals.items() if name != "continued"} == {
        name: rows for name, rows in logged.items() if name != "continued"
    }
    assert len(journals["continued"]) < len(logged["continued"])
    arrived = job.scalars()
    spelled = {"steps/private": "steps/private~715dc849"}
    for name, folder in folders.items():
        for metric, values in journal_scalars(folder).items():
            service_name = metric if name == "folds" else f"{name}/{metric.strip()}"
            assert arrived.pop(spelled.get(service_name, service_name)) == values
    assert arrived == {}
    assert job.service.run(job.run_id).tags["metrics_folder"] == "outputs/folds"
    lines = [line for line in outcome.err.splitlines() if "is called" in line]
    assert "outputs/stages is called stages at Azure ML: its metrics are stages/NAME there." in lines


TWO_FOLDERS = """
import sys
from lightning_app.azureml_logger import AzureMLRunLogger
for folder in sys.argv[1:]:
    logger = AzureMLRunLogger(folder)
    logger.log_hyperparams({"folder": folder})
    for step in range(3):
        logger.log_metrics({"loss": float(step)}, step)
    logger.log_list("thresholds", [0.5], 3)
    logger.close()
"""


def test_a_job_that_starts_again_on_an_empty_disk_gives_the_same_names_and_doubles_nothing(job: Job) -> None:
    job.run("-c", TWO_FOLDERS, "outputs", "outputs/fold2")
    (job.folder / "outputs").rename(job.folder / "lost")
    # the first fold is finished, and the second one comes first
    outcome = job.run("-c", TWO_FOLDERS, "outputs/fold2", "outputs")

    assert outcome.status == 0, outcome.err
    steps = [(step, float(step)) for step in range(3)]
    assert job.scalars() == {"loss": steps, "fold2/loss": steps}
    assert {name: len(rows) for name, rows in job.rows().items() if "thresholds" in name} == {
        "thresholds": 1,
        "fold2/thresholds": 1,
    }
    tags = job.service.run(job.run_id).tags
    assert (tags["folder"], tags["fold2/folder"]) == ("outputs", "outputs/fold2")


def test_two_programs_on_one_folder_write_whole_rows_and_all_arrive(job: Job) -> None:
    script = """
from lightning_app.azureml_logger import AzureMLRunLogger
logger = AzureMLRunLogger()
for step in range(2000):
    logger.log_metrics({"a": float(step)}, step)
"""
    programs = [job.start("-c", script) for _ in range(2)]
    for program in programs:
        _, err = program.communicate(timeout=300)
        assert (program.returncode, err) == (0, "")

    values = journal_scalars(job.folder / "outputs")["a"]
    assert len(values) == 4000
    assert sorted(values) == sorted(2 * [(step, float(step)) for step in range(2000)])
    assert job.scalars()["a"] == values


def test_a_new_training_in_the_folder_of_a_job_is_delivered_as_well(job: Job) -> None:
    script = """
import sys
from pathlib import Path
from lightning_app.azureml_logger import AzureMLRunLogger
from lightning_app.run_folder import RunFolder
for training in range(2):
    logger = AzureMLRunLogger()
    for step in range(3):
        logger.log_metrics({"loss": float(training)}, step)
    logger.log_list("thresholds", [float(training)], 3)
    logger.close()
    RunFolder(Path("outputs")).archive()
"""
    assert job.run("-c", script).status == 0

    assert job.scalars()["loss"] == [(step, float(training)) for training in range(2) for step in range(3)]
    assert [row.data["thresholds"] for row in job.rows()["thresholds"]] == [0.0, 1.0]


def test_a_journal_that_is_deleted_while_it_is_written_is_delivered_from_its_new_beginning(job: Job) -> None:
    script = """
import time
from pathlib import Path
from lightning_app.azureml_logger import AzureMLRunLogger
logger, delivered, journal = AzureMLRunLogger(), Path("outputs/delivery.jsonl"), Path("outputs/metrics.jsonl")
for part in range(2):
    for step in range(100):
        logger.log_metrics({"loss": float(part)}, step)
    while part == 0 and not (delivered.exists() and '"sent": 100' in delivered.read_text()):
        time.sleep(0.1)
    if part == 0:
        journal.unlink()
"""
    assert job.run("-c", script).status == 0

    assert job.scalars()["loss"] == [(step, float(part)) for part in range(2) for step in range(100)]


def test_a_foreign_line_gets_one_message_and_the_others_arrive(job: Job) -> None:
    script = "from lightning_app.azureml_logger import AzureMLRunLogger\nlogger = AzureMLRunLogger()\n"
    job.service.inject(Fault.status(500, "/metric/"))
    job.run("-c", f"{script}logger._exit_timeout = 0\nlogger.log_metrics({{'a': 1.0}}, 1)")
    with (job.folder / "outputs" / "metrics.jsonl").open("a") as journal:
        journal.write("hello\n")
    job.service.clear_faults()

    outcome = job.run("-c", f"{script}logger.log_metrics({{'a': 2.0}}, 2)")
    delivered = job.run("-m", "lightning_app.deliver", "outputs")

    assert outcome.err.count("metrics.jsonl: line 2: found 'hello', expected a row such as") == 1
    assert (outcome.err.count("\n"), outcome.status) == (1, 0)
    assert (delivered.status, delivered.err) == (0, "")
    assert job.scalars() == {"a": [(1, 1.0), (2, 2.0)]}


def test_what_is_logged_last_by_azureml_cores_own_run_arrives(job: Job) -> None:
    script = """
from lightning_app.azureml_logger import AzureMLRunLogger
logger = AzureMLRunLogger()
logger.log_metrics({"ours": 1.0}, 1)
for step in range(50):
    logger.run.log("theirs", step)
"""
    outcome = job.run("-c", script)

    assert (outcome.status, outcome.err) == (0, "")
    # azureml-core sends several batches at once, in no order
    assert sorted(row.data["theirs"] for row in job.rows()["theirs"]) == list(range(50))
    assert job.scalars()["ours"] == [(1, 1.0)]
