"""The job that azure-ai-ml returns for a run, read back: the job that it describes, to be resumed."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_app.azureml.destination import CHOICE
from submit.describe import parse_dataset
from submit.errors import SubmitError
from submit.job import JOB_KEY, SERVERLESS, Access, CuratedEnvironment, DatastorePath, Job, RegisteredDataset, Services
from submit.low_priority import VARIABLE
from submit.resuming import require_free_flags, resumed_command
from submit.v2.datastore import in_datastore
from submit.v2.job import CHECKPOINTS, CHECKPOINTS_PLACEHOLDER, DATA, DATA_PLACEHOLDER, JOB_NAME

if TYPE_CHECKING:
    from azure.ai.ml.entities import CommandJob

_CHOSEN = (CHOICE, JOB_KEY, VARIABLE)  # variables that are chosen anew
_ACCESS: dict[str, Access] = {"ro_mount": "mount", "download": "download"}


def resumed_job(before: "CommandJob", folder: Path, resume: DatastorePath, training: Sequence[str]) -> Job:
    """The recorded job, which continues from a run folder.

    Args:
        before: The run that is resumed, as azure-ai-ml returns it.
        folder: The folder of the new snapshot.
        resume: The run folder with the checkpoint from which it continues.
        training: Flags of the training that differ from the recorded ones.

    Raises:
        SubmitError: ``submit run`` didn't send the run, or a flag sets what the recorded run decides.
    """
    require_free_flags(training)
    if before.type != "command":
        raise SubmitError(f"run {before.name} is a {before.type}; expected a run that submit run has sent")
    resources, distribution, queue = before.resources, before.distribution, before.queue_settings
    variables = before.environment_variables or {}
    command = shlex.split(before.command or "")
    return Job(
        experiment=str(before.experiment_name),
        command=resumed_command(command, training, {DATA_PLACEHOLDER}, CHECKPOINTS_PLACEHOLDER),
        source_directory=folder,
        compute=_compute(before.compute),
        environment=_environment(str(before.environment)),
        nodes=int(resources.instance_count or 1),
        processes_per_node=int(getattr(distribution, "process_count_per_instance", None) or 1),
        launcher="mpi" if str(getattr(distribution, "type", "")).lower() == "mpi" else "pytorch",
        data=recorded_data(before),
        resume=resume,
        environment_variables={
            name: value for name, value in variables.items() if name not in (CHOICE, JOB_KEY, VARIABLE)
        },
        shared_memory=resources.shm_size or Job.shared_memory,
        max_duration_seconds=before.limits.timeout if before.limits else None,
        vm_size=resources.instance_type,
        low_priority=bool(queue and str(queue.job_tier).lower() == "spot"),
        tags=dict(before.tags or {}),
        services=_services(before.services),
    )


def checkpoint_folder(job: Any) -> DatastorePath | None:
    """The folder of a datastore to which a recorded job copies its checkpoints, if it has one."""
    output = (getattr(job, "outputs", None) or {}).get(CHECKPOINTS)
    place = in_datastore(str(output.path)) if output is not None else None
    return DatastorePath(place[0], place[1].replace(JOB_NAME, str(job.name)), "mount") if place else None


def _compute(compute: Any) -> str:
    name = str(compute or SERVERLESS).rpartition("/")[2]
    return name.removeprefix("azureml:")


def _environment(text: str) -> CuratedEnvironment:
    """An environment as azure-ai-ml names it; one that was built for the run is in the workspace under its hash."""
    parts = text.removeprefix("azureml://").removeprefix("azureml:").split("/")
    if "registries" in parts:
        version = parts[parts.index("versions") + 1] if "versions" in parts else None
        return CuratedEnvironment(parts[parts.index("environments") + 1], version, parts[parts.index("registries") + 1])
    if "environments" in parts:
        version = parts[parts.index("versions") + 1] if "versions" in parts else None
        return CuratedEnvironment(parts[parts.index("environments") + 1], version)
    name, _, version = parts[-1].partition(":")
    return CuratedEnvironment(name, version or None)


def recorded_data(job: Any) -> RegisteredDataset | DatastorePath | None:
    """The data of a recorded job, if it has some."""
    given = (getattr(job, "inputs", None) or {}).get(DATA)
    if given is None:
        return None
    access = _ACCESS.get(str(given.mode), "mount")
    path = str(given.path).removeprefix("azureml:") if "://" not in str(given.path) else str(given.path)
    if place := in_datastore(path):
        return DatastorePath(*place, access)
    parts = path.split("/")
    if "data" in parts and "versions" in parts:
        return RegisteredDataset(parts[parts.index("data") + 1], parts[parts.index("versions") + 1], access)
    return parse_dataset(path, access)


def _services(given: Any) -> Services:
    ssh = (given or {}).get("ssh")
    return Services("tensorboard" in (given or {}), getattr(ssh, "ssh_public_keys", None))
