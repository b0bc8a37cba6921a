"""A job for azure-ai-ml: a command job, and the YAML that ``az ml job create --file`` takes."""

import json
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import yaml

from lightning_app.azureml.destination import BY_MLFLOW, CHOICE
from submit.job import (
    CHECKPOINT_PATH,
    DATA_PATH,
    DEFAULT_DATASTORE,
    RESUME_PATH,
    SERVERLESS,
    BuiltEnvironment,
    CuratedEnvironment,
    DatastorePath,
    Job,
    RegisteredDataset,
    variables_with_key,
)
from submit.low_priority import RUN_ID

if TYPE_CHECKING:
    from azure.ai.ml import Input, MpiDistribution, Output, PyTorchDistribution
    from azure.ai.ml.entities import Command, CommandJob, Environment

SCHEMA = "https://azuremlschemas.azureedge.net/latest/commandJob.schema.json"
DATA, RESUME, CHECKPOINTS = "data", "resume", "checkpoints"  # the names of inputs and outputs in the request
DATA_PLACEHOLDER = f"${{{{inputs.{DATA}}}}}"  # the service replaces it by a path in the command
RESUME_PLACEHOLDER = f"${{{{inputs.{RESUME}}}}}"
CHECKPOINTS_PLACEHOLDER = f"${{{{outputs.{CHECKPOINTS}}}}}"
JOB_NAME = "${{name}}"
# the image of azureml-core's default environment, with CUDA 11.8; PyTorch's wheels bring their own CUDA
BASE_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"
TENSORBOARD_FOLDER = "logs"
_INPUT_MODES = {"mount": "ro_mount", "download": "download"}
_ORDER = (
    *("$schema", "type", "experiment_name", "command", "code", "environment", "environment_variables", "inputs"),
    *("outputs", "compute", "resources", "distribution", "queue_settings", "limits", "services", "tags"),
)


def command_to_send(job: Job, name: str | None = None) -> "Command":
    """The job as it is submitted, under a name, or under one that the service chooses."""
    from azure.ai.ml import command

    is_serverless = job.compute == SERVERLESS
    return command(
        name=name,
        experiment_name=job.experiment,
        command=command_line(job),
        code=str(job.source_directory),
        environment=environment(job.environment),
        # an image may have azureml-core, which the metrics would go by otherwise
        environment_variables={CHOICE: BY_MLFLOW} | variables_with_key(job, is_sent=True),
        inputs=dict(_inputs(job)),
        outputs=dict(_outputs(job)),
        compute=None if is_serverless else job.compute,
        instance_count=job.nodes,
        instance_type=job.vm_size if is_serverless else None,
        shm_size=job.shared_memory,
        distribution=_distribution(job),
        job_tier="spot" if is_serverless and job.low_priority else None,
        timeout=job.max_duration_seconds,
        services=_services(job),
        tags=dict(job.tags),
    )


def command_job(job: Job, name: str | None = None) -> "CommandJob":
    """The job in the form of a file; azure-ai-ml 1.35 doesn't send an object of this class."""
    return command_to_send(job, name)._to_job()


def job_yaml(job: Job) -> str:
    """The job as a file for ``az ml job create --file``, which a person can send without this program."""
    content = without_empty(without_made_up_names(to_dict(command_job(job))))
    content["$schema"] = SCHEMA
    content["code"] = str(job.source_directory)  # azure-ai-ml writes the whole path of this machine
    return yaml.safe_dump(
        {name: content[name] for name in _ORDER if name in content}, sort_keys=False, allow_unicode=True, width=120
    )


def to_dict(job: "CommandJob") -> dict[str, Any]:
    """The job in the form of its schema, in plain types."""
    content: dict[str, Any] = json.loads(json.dumps(job._to_dict()))
    return content


def without_made_up_names(content: dict[str, Any]) -> dict[str, Any]:
    """A job without the name and the hash that azure-ai-ml gives to an environment that has none."""
    described = content["environment"]
    if isinstance(described, str):
        return content
    kept = {name: value for name, value in described.items() if name not in ("name", "version", "tags")}
    return {**content, "environment": kept}


def without_empty(content: dict[str, Any]) -> dict[str, Any]:
    """Without fields that say nothing, also one level deeper."""
    filled = {
        name: {key: each for key, each in value.items() if each not in ({}, [], None)}
        if isinstance(value, dict)
        else value
        for name, value in content.items()
    }
    return {name: value for name, value in filled.items() if value not in ({}, [], None)}


def command_line(job: Job) -> str:
    """The command for the shell of the nodes; each word is quoted, except what the service replaces."""
    replaced = {
        DATA_PATH: DATA_PLACEHOLDER,
        RESUME_PATH: RESUME_PLACEHOLDER,
        CHECKPOINT_PATH: CHECKPOINTS_PLACEHOLDER,
    }
    return " ".join(replaced.get(word) or shlex.quote(word) for word in job.command)


def environment(wanted: CuratedEnvironment | BuiltEnvironment) -> "Environment | str":
    """An environment by its name, or one that Azure ML builds for the job."""
    from azure.ai.ml.entities import BuildContext, Environment

    if isinstance(wanted, CuratedEnvironment):
        return environment_reference(wanted)
    if wanted.context is not None:
        folder, name = wanted.context
        return Environment(build=BuildContext(path=str(folder), dockerfile_path=name))
    conda = yaml.safe_load(wanted.conda) if wanted.conda else None
    return Environment(image=wanted.image or BASE_IMAGE, conda_file=conda)


def environment_reference(wanted: CuratedEnvironment) -> str:
    if wanted.registry:
        which = f"versions/{wanted.version}" if wanted.version else "labels/latest"
        return f"azureml://registries/{wanted.registry}/environments/{wanted.name}/{which}"
    return f"{wanted.name}:{wanted.version}" if wanted.version else f"{wanted.name}@latest"


def _inputs(job: Job) -> "Iterator[tuple[str, Input]]":
    if job.data is not None:
        yield DATA, _input(job.data)
    if job.resume is not None:
        yield RESUME, _input(job.resume)


def _input(data: RegisteredDataset | DatastorePath) -> "Input":
    from azure.ai.ml import Input

    if isinstance(data, DatastorePath):
        path = datastore_uri(data)
    else:
        path = f"{data.name}@latest" if data.version == "latest" else f"{data.name}:{data.version}"
    return Input(type="uri_folder", path=path, mode=_INPUT_MODES[data.access])


def _outputs(job: Job) -> "Iterator[tuple[str, Output]]":
    from azure.ai.ml import Output

    if job.checkpoints is not None:
        path = datastore_uri(job.checkpoints).replace(RUN_ID, JOB_NAME)
        yield CHECKPOINTS, Output(type="uri_folder", path=path, mode="rw_mount")


def datastore_uri(path: DatastorePath) -> str:
    return f"azureml://datastores/{path.datastore or DEFAULT_DATASTORE}/paths/{path.path}"


def _distribution(job: Job) -> "PyTorchDistribution | MpiDistribution":
    from azure.ai.ml import MpiDistribution, PyTorchDistribution

    kind = MpiDistribution if job.launcher == "mpi" else PyTorchDistribution
    return kind(process_count_per_instance=job.processes_per_node)


def _services(job: Job) -> dict[str, Any] | None:
    from azure.ai.ml.entities import SshJobService, TensorBoardJobService

    services: dict[str, Any] = {}
    if job.services.tensorboard:
        services["tensorboard"] = TensorBoardJobService(log_dir=TENSORBOARD_FOLDER)
    if job.services.ssh_key:
        services["ssh"] = SshJobService(ssh_public_keys=job.services.ssh_key)
    return services or None
