"""A job sent to Azure ML by azureml-core."""

from typing import TYPE_CHECKING

from submit.errors import SubmitError
from submit.job import Job
from submit.sdk_v1 import script_run_config

if TYPE_CHECKING:
    from azureml.core import Run, Workspace


def send(job: Job, workspace: "Workspace") -> "Run":
    """The run that Azure ML has made of the job.

    Raises:
        SubmitError: Azure ML refuses it, or can't be reached.
    """
    from azureml.core import Experiment

    try:
        return Experiment(workspace, job.experiment).submit(script_run_config(job))
    except Exception as error:  # azureml-core lets errors of several libraries through
        text = str(getattr(error, "message", None) or error or type(error).__name__)
        raise SubmitError(f"Azure ML didn't take the job: {' '.join(text.split())[:500]}") from error
