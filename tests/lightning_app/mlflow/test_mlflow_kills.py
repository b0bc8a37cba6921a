"""A sender and a training that are killed while metrics go by MLflow; ``test_delivery_kills`` kills many."""

import os
import signal
import time
from pathlib import Path

from submit.emulator import AzureMLEmulator
from tests.lightning_app.test_delivery_kills import sender_of
from tests.support.jobs import journal_scalars
from tests.support.mlflow_jobs import MlflowJob

TRAINING = """
import time
from lightning_app.azureml_logger import AzureMLRunLogger
logger = AzureMLRunLogger()
for step in range(100_000):
    logger.log_metrics({"loss": 1 / (step + 1), "accuracy": step / 1000}, step)
    time.sleep(0.002)
"""


def wait_for_requests(service: AzureMLEmulator, number: int) -> None:
    """More batches than so many have arrived."""
    while sum("/log-batch" in request.path for request in service.requests) <= number:
        time.sleep(0.02)


def test_nothing_is_lost_or_doubled(service: AzureMLEmulator, tmp_path: Path) -> None:
    job = MlflowJob(service, service.new_run().id, tmp_path)
    training = job.start("-c", TRAINING)
    wait_for_requests(service, 2)
    sender = sender_of(training.pid)
    assert sender is not None

    os.kill(sender, signal.SIGKILL)
    time.sleep(0.2)
    training.kill()
    training.communicate()
    delivered = job.run("-m", "lightning_app.deliver", "outputs")

    assert (delivered.status, delivered.err) == (0, "")
    journal = journal_scalars(tmp_path / "outputs")
    assert job.scalars() == journal
    assert len(journal["loss"]) > 50
