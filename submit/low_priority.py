"""What a job gets on a low-priority cluster, so that it goes on when Azure has taken its nodes away.

azureml-core is imported inside the functions, so that a wrong command line is reported without it.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from submit.job import Job
from submit.preflight.findings import Finding, note

if TYPE_CHECKING:
    from azureml.core import Workspace

VARIABLE = "LIGHTNING_APP_LOW_PRIORITY"  # the training watches for the notice of an eviction


def for_cluster(job: Job, workspace: "Workspace") -> Job:
    """The job, which watches for the notice of an eviction where its cluster has low priority."""
    from azureml.core.compute import ComputeTarget

    return for_low_priority(job) if is_low_priority(ComputeTarget(workspace, job.compute)) else job


def for_low_priority(job: Job) -> Job:
    """As ``for_cluster``, for a cluster that has low priority. A variable that the user has set stays."""
    return replace(job, environment_variables={VARIABLE: "1", **job.environment_variables})


def is_low_priority(compute: Any) -> bool:
    """Whether Azure may take the nodes of a compute of the workspace away."""
    return str(getattr(compute, "vm_priority", "")).lower() == "lowpriority"


def about_evictions(given: str) -> Finding:
    """What a user should know of a low-priority cluster; ``given`` names it."""
    return note(
        f"{given}: Azure may take its low-priority nodes away; Azure ML then starts the job again, which continues "
        "from the outputs of the run"
    )
