"""A sweep sent to Azure ML."""

import warnings
from typing import TYPE_CHECKING

from submit.errors import SubmitError
from submit.failures import reason
from submit.submission import require_compute
from submit.sweep.description import Sweep
from submit.sweep.sdk_v1 import hyperdrive_config

if TYPE_CHECKING:
    from azureml.core import Run, Workspace


def send(sweep: Sweep, workspace: "Workspace") -> "Run":
    """The run that stands for all of the sweep.

    Raises:
        SubmitError: Azure ML refuses it, or can't be reached.
    """
    from azureml.core import Experiment

    require_compute(workspace, sweep.job.compute)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Experiment(workspace, sweep.job.experiment).submit(hyperdrive_config(sweep, workspace))
    except SubmitError:
        raise
    except Exception as error:  # azureml-core lets errors of several libraries through
        raise SubmitError(f"Azure ML didn't take the sweep: {reason(error)}") from error
