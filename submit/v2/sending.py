"""Sends jobs and sweeps with azure-ai-ml, under names that say what they belong to."""

import contextlib
import io
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError, describe_error
from submit.job import SERVERLESS, Job
from submit.low_priority import for_low_priority
from submit.sweep.sweep import Sweep
from submit.v2.cluster import find_cluster
from submit.v2.job import command_to_send
from submit.v2.sweep import sweep_job

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def send_job(job: Job, client: "MLClient") -> Any:
    """Sends a job, and returns it as the service has it.

    Raises:
        SubmitError: Azure ML refuses the job or doesn't respond.
    """
    return _send(client, command_to_send(for_nodes(job, client), new_name(job.experiment)), "job")


def send_sweep(sweep: Sweep, client: "MLClient") -> Any:
    """As ``send_job``, for a sweep."""
    sent = replace(sweep, job=for_nodes(sweep.job, client))
    return _send(client, sweep_job(sent, new_name(sweep.job.experiment)), "sweep")


def new_name(experiment: str) -> str:
    """A name for a run, as azureml-core gives it; the service would make one of two random words."""
    return f"{experiment}_{int(time.time())}_{secrets.token_hex(4)}"


def for_nodes(job: Job, client: "MLClient") -> Job:
    """The job, with a notice to watch for and a folder for its checkpoints where its nodes have low priority."""
    if job.compute == SERVERLESS:
        return for_low_priority(job) if job.low_priority else job
    cluster = find_cluster(client, job.compute)
    return for_low_priority(job) if cluster is not None and cluster.low_priority else job


def _send(client: "MLClient", job: Any, what: str) -> Any:
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the end of a progress bar that isn't shown
            return client.jobs.create_or_update(job)
    except Exception as error:  # azure-ai-ml raises errors of several libraries
        raise SubmitError(f"Azure ML didn't accept the {what}: {describe_error(error)}") from error
