"""Whatever the service does: training ends well, and after ``deliver`` every row is there once."""

import re

import pytest

from benchmarks.service_faults import FAULTS, MLFLOW_FAULTS, REFUSED_METRIC, mend
from submit.emulator import Fault
from tests.support.jobs import Job, journal_scalars
from tests.support.mlflow_jobs import MlflowJob

pytestmark = pytest.mark.slow

ROWS = 600
TRAINING = f"""
import time
from lightning_app.azureml_logger import AzureMLRunLogger
logger = AzureMLRunLogger()
for step in range({ROWS}):
    logger.log_metrics({{"train_loss": 1 / (step + 1), "train_accuracy": step / {ROWS}}}, step)
    time.sleep(0.005)
"""
DELIVER = ("-m", "lightning_app.deliver", "outputs")
ARRIVES_AT_ONCE = {
    "none",
    "500 ms per request",
    "one 429",
    "dropped connections at random",
    "stops during the run and starts again",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("by", ["azureml-core", "MLflow"])
def test_nothing_is_lost_or_doubled(job: Job, by: str, fault: str) -> None:
    if by == "MLflow":
        job = MlflowJob(job.service, job.run_id, job.folder)
    (FAULTS if by == "azureml-core" else MLFLOW_FAULTS)[fault](job.service)

    outcome = job.run("-c", TRAINING)

    journal = journal_scalars(job.folder / "outputs")
    assert outcome.status == 0
    assert len(journal["train_loss"]) == len(journal["train_accuracy"]) == ROWS
    if fault in ARRIVES_AT_ONCE:
        assert (outcome.err, job.scalars()) == ("", journal)
    else:
        assert re.search(r"undelivered; to deliver them: python -m lightning_app.deliver outputs$", outcome.err, re.M)

    mend(job.service)
    delivered = job.run(*DELIVER)

    assert (delivered.status, delivered.err) == (0, "")
    assert job.scalars() == journal
    again = job.run(*DELIVER)
    assert again.out == f"0 rows delivered to run {job.run_id}; nothing left.\n"
    assert job.scalars() == journal


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_token_that_expires_is_renewed_in_every_time_zone(job: Job, zone: str) -> None:
    """azureml-core by itself takes the expiry for local time: in Tokyo it keeps using a token that has expired."""
    expiring = job.service.job_environment(job.run_id, job.folder / "home", token_seconds=-5)

    outcome = job.run("-c", TRAINING, **expiring, TZ=zone)

    assert (outcome.status, outcome.err) == (0, "")
    assert job.scalars() == journal_scalars(job.folder / "outputs")


def test_a_refused_metric_stays_refused_until_the_service_accepts_it(job: Job) -> None:
    job.service.inject(Fault.reject_metric(REFUSED_METRIC))
    job.run("-c", TRAINING)

    still = job.run(*DELIVER)

    assert still.status == 1
    assert f"error: {ROWS} of {ROWS} rows undelivered (the service refuses them" in still.err
    assert list(job.scalars()) == ["train_loss"]
    assert len(job.scalars()["train_loss"]) == ROWS
