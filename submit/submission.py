"""A job sent to Azure ML by azureml-core."""

from typing import TYPE_CHECKING

from submit.errors import SubmitError
from submit.failures import reason
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

    require_compute(workspace, job.compute)
    try:
        return Experiment(workspace, job.experiment).submit(script_run_config(job, workspace))
    except SubmitError:
        raise
    except Exception as error:  # azureml-core lets errors of several libraries through
        raise SubmitError(f"Azure ML didn't take the job: {reason(error)}") from error


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
            raise SubmitError(f"--compute {name!r}: can't be looked up ({reason(error)})") from error
        raise SubmitError(
            f"--compute {name!r}: no such cluster in the workspace; python -m submit compute --name {name} makes one"
        ) from error
    except Exception as error:
        raise SubmitError(f"--compute {name!r}: can't be looked up ({reason(error)})") from error
