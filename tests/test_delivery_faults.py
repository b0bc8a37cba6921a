"""Whatever the service does: training ends well and soon, and after ``deliver`` every row is there once."""

import re
import threading
import time
from collections.abc import Callable

import pytest

from submit.rehearsal import AzureMLService, Fault
from tests.conftest import Job, journal_scalars

pytestmark = pytest.mark.slow

ROWS = 600
TRAINING = f"""
import time
from lightning_app.azureml_logger import AzureMLRunLogger
logger = AzureMLRunLogger()
for step in range({ROWS}):
    logger.log_metrics({{"loss": 1 / (step + 1), "accuracy": step / {ROWS}}}, step)
    time.sleep(0.005)
print("training ends", time.time())
"""
DELIVER = ("-m", "lightning_app.deliver", "outputs")
LONGEST_WAIT = 15  # seconds, at the end of training


def _die_and_come_back(service: AzureMLService) -> None:
    def run() -> None:
        deadline = time.monotonic() + 30
        while not service.requests and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        service.stop()
        time.sleep(3)
        service.start()

    threading.Thread(target=run).start()


FAULTS: dict[str, Callable[[AzureMLService], None]] = {
    "none": lambda service: None,
    "500 ms a call": lambda service: service.order(Fault.slow(0.5)),
    "one 429": lambda service: service.order(Fault.status(429, "/metric/", times=1, retry_after=2)),
    "permanent 429": lambda service: service.order(Fault.status(429, retry_after=1)),
    "permanent 500": lambda service: service.order(Fault.status(500)),
    "connection refused": lambda service: service.stop(),
    "dropped connections at random": lambda service: service.order(Fault.drop("/metric/", 0.4, seed=1, handled=None)),
    "accepts and never answers": lambda service: service.order(Fault.silence()),
    "carries out and never answers": lambda service: service.order(Fault.silence("/batch", handled=True)),
    "run lookup fails": lambda service: service.order(Fault.status(500, "/history/")),
    "one metric name rejected": lambda service: service.order(Fault.reject_metric("accuracy")),
    "dies and comes back": _die_and_come_back,
}
ARRIVES_AT_ONCE = {"none", "500 ms a call", "one 429", "dropped connections at random", "dies and comes back"}


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_or_doubled(job: Job, fault: str) -> None:
    FAULTS[fault](job.service)

    outcome = job.run("-c", TRAINING)

    waited = time.time() - float(outcome.out.split()[-1])
    journal = journal_scalars(job.folder / "outputs")
    assert outcome.status == 0
    assert waited < LONGEST_WAIT
    assert len(journal["loss"]) == len(journal["accuracy"]) == ROWS
    if fault in ARRIVES_AT_ONCE:
        assert (outcome.err, job.scalars()) == ("", journal)
    else:
        assert re.search(r"undelivered; to deliver them: python -m lightning_app.deliver outputs$", outcome.err, re.M)

    _mend(job.service)
    delivered = job.run(*DELIVER)

    assert (delivered.status, delivered.err) == (0, "")
    assert job.scalars() == journal
    again = job.run(*DELIVER)
    assert again.out == f"0 rows delivered to run {job.run_id}; nothing left.\n"
    assert job.scalars() == journal


def _mend(service: AzureMLService) -> None:
    service.stop()
    service.start()
    service.clear_faults()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_token_that_expires_is_renewed_in_every_time_zone(job: Job, zone: str) -> None:
    """azureml-core by itself takes the expiry for local time: in Tokyo it keeps using a token that has expired."""
    expiring = job.service.job_environment(job.run_id, job.folder / "home", token_seconds=-5)

    outcome = job.run("-c", TRAINING, **expiring, TZ=zone)

    assert (outcome.status, outcome.err) == (0, "")
    assert job.scalars() == journal_scalars(job.folder / "outputs")


def test_a_metric_that_is_refused_stays_refused_until_the_service_takes_it(job: Job) -> None:
    job.service.order(Fault.reject_metric("accuracy"))
    job.run("-c", TRAINING)

    still = job.run(*DELIVER)

    assert still.status == 1
    assert f"error: {ROWS} of {ROWS} rows undelivered (the service refuses them" in still.err
    assert list(job.scalars()) == ["loss"]
    assert len(job.scalars()["loss"]) == ROWS
