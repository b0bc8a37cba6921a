"""``python -m lightning_app.deliver`` on what people give it."""

import subprocess
import sys
from pathlib import Path

import pytest

from lightning_app.azureml.destination import CHOICE
from lightning_app.deliver import main
from submit.emulator import Fault
from tests.support.commands import Command, environment
from tests.support.jobs import Job

DELIVER = ("-m", "lightning_app.deliver")
LOGGED = """
from lightning_app.azureml_logger import AzureMLRunLogger
logger = AzureMLRunLogger(exit_timeout=0)
for step in range(10):
    logger.log_metrics({"a": float(step)}, step)
logger.log_image("photo", [[0, 255], [255, 0]], 3)
"""


def test_outside_a_job_it_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("")

    done = subprocess.run(
        [sys.executable, *DELIVER, str(tmp_path)], capture_output=True, text=True, timeout=60, env=environment()
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: AZUREML_RUN_ID and 6 more not set; run this in the environment of ")
    assert done.stderr.count("\n") == 1


def test_a_way_for_the_metrics_that_is_not_known_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CHOICE, "MLflow")

    status = main([str(tmp_path)])

    assert status == 2
    assert capsys.readouterr().err.startswith(f"error: {CHOICE} is 'MLflow'; expected 'azureml-core' or 'mlflow'; ")


@pytest.mark.parametrize("argument", ["nowhere", "."])
def test_a_folder_without_a_run_is_refused(job: Job, argument: str) -> None:
    outcome = job.run(*DELIVER, argument)

    assert (outcome.status, outcome.out) == (2, "")
    assert (
        outcome.err == f"error: {argument!r}: no metrics.jsonl in it; expected the folder of a run, such as outputs\n"
    )


def test_what_is_left_at_the_end_of_training_is_delivered(job: Job) -> None:
    logged = job.run("-c", LOGGED)
    assert "Azure ML: 10 of 10 rows and 1 chart undelivered" in logged.err

    outcome = job.run(*DELIVER, "outputs")

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == f"10 rows delivered to run {job.run_id}; nothing left.\n"
    assert job.scalars() == {"a": [(step, float(step)) for step in range(10)]}
    assert "photo" in job.rows()


def test_it_ends_after_the_timeout_with_a_reason(job: Job) -> None:
    job.run("-c", LOGGED)
    job.service.inject(Fault.status(500, "/metric/"))

    outcome = job.run(*DELIVER, "outputs", "--timeout", "3")

    assert outcome.status == 1
    assert outcome.out == f"0 rows delivered to run {job.run_id}; 10 of 10 rows and 1 chart left.\n"
    assert outcome.err.startswith("error: 10 of 10 rows and 1 chart undelivered (500: ")
    assert outcome.err.endswith("; the same command tries again\n")


def test_it_ends_after_the_timeout_if_the_service_does_not_respond(job: Job) -> None:
    job.run("-c", LOGGED)
    job.service.inject(Fault.silence())

    outcome = job.run(*DELIVER, "outputs", "--timeout", "3")

    assert (outcome.status, outcome.out) == (1, "")
    assert "10 of 10 rows and 1 chart undelivered (the service doesn't respond)" in outcome.err


@pytest.mark.slow
def test_an_upload_whose_response_was_lost_is_stored_once(job: Job) -> None:
    job.run("-c", LOGGED)
    job.service.inject(Fault.drop("/photo", handled=True, times=1))

    outcome = job.run(*DELIVER, "outputs")

    assert (outcome.status, outcome.err) == (0, "")
    assert len(job.rows()["photo"]) == 1
    address = job.rows()["photo"][0].data["photo"]
    assert job.service.run(job.run_id).artifacts[address.partition(f"{job.run_id}/")[2]]


def test_help_says_what_it_does(run: Command) -> None:
    done = subprocess.run([sys.executable, *DELIVER, "--help"], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0
    assert "nothing is delivered twice" in " ".join(done.stdout.split())
