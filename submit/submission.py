"""A job is described, checked, shown and sent to Azure ML."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import yaml

from submit.describe import describe_job
from submit.errors import SubmitError, describe_error
from submit.job import Job
from submit.low_priority import for_cluster
from submit.options import JobOptions
from submit.preflight.checks import check_job
from submit.sdk_v1 import script_run_config
from submit.training_flags import check_training_flags

if TYPE_CHECKING:
    from azureml.core import Run, Workspace


def prepare_job(options: JobOptions, training: Sequence[str], *, dry_run: bool) -> Job | None:
    """Describes and checks a job; None after a dry run, which prints the request.

    Raises:
        SubmitError: The job must not be sent.
    """
    job = describe_job(options, training)
    check_job(job, training, options.environment.conda_file)
    check_training_flags(training, job.source_directory)  # last, because it takes seconds
    if dry_run:
        show_request(job)
        return None
    return job


def show_request(job: Job) -> None:
    """Prints the request in full, as YAML."""
    from submit.sdk_v1 import build_request

    print(to_yaml({"experiment": job.experiment, "definition": build_request(job)}), end="")


def to_yaml(content: dict[str, Any]) -> str:
    """YAML in the order of the content."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def send_job(job: Job, workspace: "Workspace") -> "Run":
    """Sends a job and returns its run.

    Raises:
        SubmitError: Azure ML refuses the job or doesn't respond.
    """
    from azureml.core import Experiment

    try:
        config = script_run_config(for_cluster(job, workspace), workspace)
        return Experiment(workspace, job.experiment).submit(config)
    except SubmitError:
        raise
    except Exception as error:  # azureml-core raises errors of several libraries
        raise SubmitError(f"Azure ML didn't accept the job: {describe_error(error)}") from error
