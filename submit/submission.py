"""A job is prepared, shown, and sent to Azure ML."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import yaml

from submit.describe import describe_job
from submit.errors import SubmitError, describe_error
from submit.job import Job
from submit.preflight.checks import check_job
from submit.sdk_v1 import script_run_config
from submit.training_flags import check_training_flags

if TYPE_CHECKING:
    from azureml.core import Run, Workspace


def send_job(job: Job, workspace: "Workspace") -> "Run":
    """The run that Azure ML has made of the job.

    Raises:
        SubmitError: Azure ML refuses it, or can't be reached.
    """
    from azureml.core import Experiment

    require_compute(workspace, job.compute)
    try:
        return Experiment(workspace, job.experiment).submit(script_run_config(job, workspace))
    except SubmitError:
        raise
    except Exception as error:  # azureml-core lets errors of several libraries through
        raise SubmitError(f"Azure ML didn't take the job: {describe_error(error)}") from error


def require_compute(workspace: "Workspace", name: str) -> None:
    """azureml-core would send the job all the same, to wait for a cluster that will never be there.

    Raises:
        SubmitError: The workspace has no cluster of this name, or doesn't say.
    """
    from azureml.core.compute import ComputeTarget
    from azureml.exceptions import ComputeTargetException

    try:
        ComputeTarget(workspace, name)
    except ComputeTargetException as error:
        if "NotFound" not in str(error):
            raise SubmitError(f"--compute {name!r}: can't be looked up ({describe_error(error)})") from error
        raise SubmitError(
            f"--compute {name!r}: no such cluster in the workspace; python -m submit compute --name {name} makes one"
        ) from error
    except Exception as error:
        raise SubmitError(f"--compute {name!r}: can't be looked up ({describe_error(error)})") from error


def prepare_job(options: argparse.Namespace, training: Sequence[str]) -> Job | None:
    """None where ``--dry_run`` has shown it, and there is nothing more to do.

    Raises:
        SubmitError: The job must not be sent.
    """
    job = describe_job(options, training)
    check_job(job, options, training)
    if options.dry_run:
        show_request(job)
        return None
    check_training_flags(training, job.source_directory)  # which takes seconds
    return job


def show_request(job: Job) -> None:
    """Prints the request in full, as YAML."""
    from submit.sdk_v1 import build_request

    print(to_yaml({"experiment": job.experiment, "definition": build_request(job)}), end="")


def to_yaml(content: dict[str, Any]) -> str:
    """In the order of the request, texts of several lines as such."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Writes what is empty as nothing more than that."""
