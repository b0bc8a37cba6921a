"""All that is looked at before a job leaves this machine."""

import argparse
import os
from collections.abc import Iterator, Sequence

from submit.job import BuiltEnvironment, Job
from submit.preflight.checks import check_folder
from submit.preflight.conda_file import check_conda_file
from submit.preflight.environment_variables import check_variables
from submit.preflight.findings import Finding, tell_findings
from submit.preflight.git_remote import check_addresses, clean_addresses
from submit.preflight.values import check_compute_name, check_experiment_name, check_image, check_shm_size


def check(job: Job, options: argparse.Namespace, training: Sequence[str]) -> None:
    """Tells of what may be meant otherwise, and cleans the addresses that azureml-core would send along.

    Raises:
        PreflightError: The job must not be sent; it has a line for each reason.
    """
    tell_findings(_findings(job, options, training))
    os.environ.update(clean_addresses(job.source_directory, os.environ))


def _findings(job: Job, options: argparse.Namespace, training: Sequence[str]) -> Iterator[Finding]:
    yield from check_experiment_name(job.experiment)
    yield from check_compute_name(job.compute)
    yield from check_shm_size(job.shared_memory)
    yield from check_variables(job.environment_variables)
    if isinstance(job.environment, BuiltEnvironment) and job.environment.image:
        yield from check_image(job.environment.image)
    if options.conda_file:
        yield from check_conda_file(options.conda_file)
    yield from check_folder(job.source_directory, training)
    yield from check_addresses(job.source_directory, os.environ)
