"""A job for azureml-core (SDK v1): a ScriptRunConfig, and the request that it becomes.

azureml-core is imported inside the functions, so that a wrong command line is reported without it.
"""

import json
import secrets
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.errors import SubmitError, describe_error
from submit.job import (
    CHECKPOINT_PATH,
    DATA_PATH,
    RESUME_PATH,
    BuiltEnvironment,
    CuratedEnvironment,
    DatastorePath,
    Job,
    RegisteredDataset,
)

if TYPE_CHECKING:
    from azureml.core import Environment, ScriptRunConfig, Workspace
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
JOB_KEY = "LIGHTNING_APP_JOB_KEY"  # by which the processes of a job know one another
JOB_KEY_SHOWN = "(random, chosen when the job is sent)"
DEFAULT_DATASTORE = "workspaceblobstore"  # of every workspace; azureml-core would request it from the service


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
    key = JOB_KEY_SHOWN if workspace is None else secrets.token_hex(16)
    config.run_config.environment_variables = _with_key(job, key)
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


def _with_key(job: Job, key: str) -> dict[str, str]:
    """The job's variables; a user's own key stays. One process talks to no other one."""
    return ({JOB_KEY: key} if job.processes > 1 else {}) | dict(job.environment_variables)


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
