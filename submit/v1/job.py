"""A job for azureml-core: a ScriptRunConfig, the request that it becomes, and sending it."""

import json
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError, describe_error
from submit.job import (
    CHECKPOINT_PATH,
    DATA_PATH,
    DEFAULT_DATASTORE,
    RESUME_PATH,
    BuiltEnvironment,
    CuratedEnvironment,
    DatastorePath,
    Job,
    RegisteredDataset,
    variables_with_key,
)
from submit.low_priority import for_low_priority
from submit.v1.cluster import is_low_priority

if TYPE_CHECKING:
    from azureml.core import Environment, Run, ScriptRunConfig, Workspace
    from azureml.core.runconfig import (
        DataReferenceConfiguration,
        MpiConfiguration,
        OutputData,
        PyTorchConfiguration,
        RunConfiguration,
    )

DATA = "data"  # the name of the input in the request
DATASTORE_PATH_PLACEHOLDER = f"$AZUREML_DATAREFERENCE_{DATA}"  # the service replaces it by a path in the command
DATASET_PLACEHOLDER = f"DatasetConsumptionConfig:{DATA}"
RESUME = "resume"
CHECKPOINTS = "checkpoints"
CHECKPOINTS_PLACEHOLDER = f"DatasetOutputConfig:{CHECKPOINTS}"
RESUME_PLACEHOLDER = f"$AZUREML_DATAREFERENCE_{RESUME}"


def script_run_config(job: Job, workspace: "Workspace | None" = None) -> "ScriptRunConfig":
    """The job as it is submitted; with a workspace, a named environment is looked up there.

    Raises:
        SubmitError: The workspace has no such environment.
    """
    from azureml.core import ScriptRunConfig
    from azureml.core.runconfig import DockerConfiguration

    config = ScriptRunConfig(
        source_directory=str(job.source_directory),
        command=_command(job),
        compute_target=job.compute,
        environment=_environment(job, workspace),
        distributed_job_config=_distributed(job),
        docker_runtime_config=DockerConfiguration(use_docker=True, shm_size=job.shared_memory),
        max_run_duration_seconds=job.max_duration_seconds or ScriptRunConfig.MAX_DURATION_SECONDS_DEFAULT,
    )
    config.run_config.environment_variables = variables_with_key(job, is_sent=workspace is not None)
    _add_data(config.run_config, job)
    return config


def build_request(job: Job) -> dict[str, Any]:
    """The body of the request as azureml-core makes it, without a network and without the snapshot's id."""
    from azureml._execution._commands import _run_config_modification, _serialize_run_config_to_dict
    from azureml.core.script_run_config import get_run_config_from_script_run

    run_config = get_run_config_from_script_run(script_run_config(job))
    _run_config_modification(run_config)
    configuration = json.loads(json.dumps(_serialize_run_config_to_dict(run_config)))
    if isinstance(job.environment, CuratedEnvironment):  # its definition is in the workspace
        configuration["environment"] = {"name": job.environment.name, "version": job.environment.version}
    return {"Configuration": configuration, "TargetDetails": None}


def _command(job: Job) -> list[str]:
    # azureml-core joins the words with spaces, so each is quoted, except what the service replaces
    replaced = {
        DATA_PATH: _data_placeholder(job),
        RESUME_PATH: RESUME_PLACEHOLDER,
        CHECKPOINT_PATH: CHECKPOINTS_PLACEHOLDER,
    }
    return [replaced.get(word) or shlex.quote(word) for word in job.command]


def _data_placeholder(job: Job) -> str:
    return DATASTORE_PATH_PLACEHOLDER if isinstance(job.data, DatastorePath) else DATASET_PLACEHOLDER


def _distributed(job: Job) -> "PyTorchConfiguration | MpiConfiguration":
    from azureml.core.runconfig import MpiConfiguration, PyTorchConfiguration

    if job.launcher == "mpi":
        return MpiConfiguration(process_count_per_node=job.processes_per_node, node_count=job.nodes)
    return PyTorchConfiguration(process_count=job.processes, node_count=job.nodes)  # its process_count is the total


def _environment(job: Job, workspace: "Workspace | None") -> "Environment":
    from azureml.core import Environment

    wanted = job.environment
    if isinstance(wanted, BuiltEnvironment):
        environment = _built(wanted)
    else:
        return find_environment(wanted, workspace) if workspace else Environment(name=wanted.name)
    environment.environment_variables = {}  # azureml-core adds an EXAMPLE_ENV_VAR
    return environment


def find_environment(wanted: CuratedEnvironment, workspace: "Workspace") -> "Environment":
    """Looks an environment up in the workspace.

    Raises:
        SubmitError: The workspace has no such environment, or doesn't respond.
    """
    from azureml.core import Environment

    try:
        found: Environment = Environment.get(workspace, wanted.name, wanted.version)
    except Exception as error:  # azureml-core raises errors of several libraries
        version = f":{wanted.version}" if wanted.version else ""
        raise SubmitError(
            f"--environment '{wanted.name}{version}': can't be found ({describe_error(error)})"
        ) from error
    return found


def _built(wanted: BuiltEnvironment) -> "Environment":
    from azureml.core import Environment
    from azureml.core.environment import DEFAULT_GPU_IMAGE

    environment = Environment(name=wanted.name) if wanted.conda is None else _from_conda(wanted.name, wanted.conda)
    environment.python.user_managed_dependencies = wanted.conda is None
    environment.docker.base_image = None if wanted.dockerfile else wanted.image or DEFAULT_GPU_IMAGE
    environment.docker.base_dockerfile = wanted.dockerfile
    return environment


def _from_conda(name: str, content: str) -> "Environment":
    from azureml.core import Environment

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "conda.yaml"
        file.write_text(content)
        found: Environment = Environment.from_conda_specification(name, str(file))
        return found


def _add_data(run_config: "RunConfiguration", job: Job) -> None:
    from azureml.core.runconfig import Data, DataLocation, Dataset

    if isinstance(job.data, RegisteredDataset):
        dataset = Dataset(dataset_name=job.data.name, dataset_version=job.data.version)
        run_config.data[DATA] = Data(
            data_location=DataLocation(dataset=dataset),
            mechanism=job.data.access,
            environment_variable_name=DATA,
        )
    elif isinstance(job.data, DatastorePath):
        run_config.data_references[DATA] = _reference(job.data)
    if job.resume is not None:
        run_config.data_references[RESUME] = _reference(job.resume)
    if job.checkpoints is not None:
        run_config.output_data[CHECKPOINTS] = _output(job.checkpoints)


def _output(path: DatastorePath) -> "OutputData":
    """What an OutputFileDatasetConfig becomes, whose module loads azureml-dataprep: a mounted folder of a datastore.

    Each file is uploaded when it is closed.
    """
    from azureml.core import runconfig

    destination = runconfig.DataPath(path.datastore or DEFAULT_DATASTORE, path.path)
    registration = runconfig.RegistrationOptions(dataset_registration_options=runconfig.DatasetRegistrationOptions())
    options = runconfig.OutputOptions(registration_options=registration, mount_options=runconfig.MountOptions())
    output: OutputData = runconfig.OutputData(runconfig.DataLocation(data_path=destination), path.access, options)
    return output


def _reference(path: DatastorePath) -> "DataReferenceConfiguration":
    from azureml.core.runconfig import DataReferenceConfiguration

    return DataReferenceConfiguration(
        datastore_name=path.datastore or DEFAULT_DATASTORE, path_on_datastore=path.path, mode=path.access
    )


def send_job(job: Job, workspace: "Workspace") -> "Run":
    """Sends a job and returns its run.

    Raises:
        SubmitError: Azure ML refuses the job or doesn't respond.
    """
    from azureml.core import Experiment

    try:
        config = script_run_config(for_cluster(job, workspace), workspace)
        return Experiment(workspace, job.experiment).submit(config, tags=dict(job.tags))
    except SubmitError:
        raise
    except Exception as error:  # azureml-core raises errors of several libraries
        raise SubmitError(f"Azure ML didn't accept the job: {describe_error(error)}") from error


def for_cluster(job: Job, workspace: "Workspace") -> Job:
    """The job, with a notice to watch for and a folder for its checkpoints where its cluster has low priority."""
    from azureml.core.compute import ComputeTarget

    return for_low_priority(job) if is_low_priority(ComputeTarget(workspace, job.compute)) else job
