"""The request that Azure ML recorded for a run, read back: its shape, its command, and the job that it describes."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from submit.environments import PROJECT_ENVIRONMENT
from submit.errors import SubmitError
from submit.job import (
    JOB_KEY,
    BuiltEnvironment,
    CuratedEnvironment,
    DatastorePath,
    Job,
    JobShape,
    RegisteredDataset,
)
from submit.low_priority import RUN_ID, VARIABLE
from submit.resuming import require_free_flags, resumed_command
from submit.v1.job import (
    CHECKPOINTS,
    CHECKPOINTS_PLACEHOLDER,
    DATA,
    DATASET_PLACEHOLDER,
    DATASTORE_PATH_PLACEHOLDER,
)

_SHELL = re.compile(r"[|&;<>`]")
_DATA_PLACEHOLDERS = (DATASET_PLACEHOLDER, DATASTORE_PATH_PLACEHOLDER)


def job_shape(definition: Mapping[str, Any]) -> JobShape | None:
    """The shape of a job; None if the definition has none, such as that of a run that was not submitted.

    The communicator says which section counts. The service capitalises some names differently from the request.
    """
    sections = {name.lower(): content for name, content in definition.items()}
    if "nodecount" not in sections:
        return None
    if "mpi" in str(sections.get("communicator")).lower():
        return JobShape(sections["nodecount"], sections["mpi"]["processCountPerNode"], "mpi")
    pytorch = sections.get("pytorch") or {}
    nodes = pytorch.get("nodeCount") or sections["nodecount"]
    return JobShape(nodes, (pytorch.get("processCount") or nodes) // nodes, "pytorch")


def job_command(definition: Mapping[str, Any], python: str, data: str | None, around: Sequence[str] = ()) -> list[str]:
    """The command as a list, with this machine's Python and the path of the data.

    A script with its arguments becomes a command, with the program ``around`` it; a command that only a shell
    understands is given to a shell.
    """
    replaced = {"python": python} | (dict.fromkeys(_DATA_PLACEHOLDERS, data) if data else {})
    command = definition.get("command")
    if not command:
        return [python, *around, definition["script"], *(str(word) for word in definition.get("arguments") or [])]
    if _SHELL.search(command) or (data is None and "$" in command):
        return ["sh", "-c", command]
    return [replaced.get(word, word) for word in shlex.split(command)]


def job_variables(definition: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that the request has."""
    return dict(definition.get("environmentVariables") or {})


def resumed_job(
    definition: Mapping[str, Any], experiment: str, folder: Path, resume: DatastorePath, training: Sequence[str]
) -> Job:
    """The recorded job, which continues from a run folder.

    Args:
        definition: The run's ``runDefinition``.
        experiment: The experiment of the new run.
        folder: The folder of the new snapshot, because the recorded snapshot can't be sent again.
        resume: The run folder with the checkpoint from which it continues.
        training: Flags of the training that differ from the recorded ones.

    Raises:
        SubmitError: ``submit run`` didn't send the run, or a flag sets what the recorded run decides.
    """
    require_free_flags(training)
    shape = job_shape(definition) or JobShape(1, 1, "pytorch")
    docker = definition.get("docker") or {}
    return Job(
        experiment=experiment,
        command=resumed_command(
            shlex.split(definition.get("command") or ""), training, _DATA_PLACEHOLDERS, CHECKPOINTS_PLACEHOLDER
        ),
        source_directory=folder,
        compute=definition["target"],
        environment=_environment(definition["environment"]),
        nodes=shape.nodes,
        processes_per_node=shape.processes_per_node,
        launcher=shape.launcher,
        data=recorded_data(definition),
        resume=resume,
        environment_variables={
            name: value for name, value in job_variables(definition).items() if name not in (JOB_KEY, VARIABLE)
        },
        shared_memory=docker.get("shmSize") or Job.shared_memory,
        max_duration_seconds=definition.get("maxRunDurationSeconds"),
    )


def checkpoint_folder(definition: Mapping[str, Any], run_id: str) -> DatastorePath | None:
    """The folder of a datastore to which a recorded job copies its checkpoints, if it has one."""
    output = (definition.get("outputData") or {}).get(CHECKPOINTS) or {}
    place = (output.get("outputLocation") or {}).get("dataPath") or {}
    if not place.get("relativePath"):
        return None
    return DatastorePath(place.get("datastoreName"), place["relativePath"].replace(RUN_ID, run_id), "mount")


def _environment(section: Mapping[str, Any]) -> CuratedEnvironment | BuiltEnvironment:
    if section["name"] != PROJECT_ENVIRONMENT:
        return CuratedEnvironment(section["name"], section.get("version"))
    python, docker = section["python"], section["docker"]
    conda = None if python["userManagedDependencies"] else python["condaDependencies"]
    return BuiltEnvironment(
        PROJECT_ENVIRONMENT,
        conda=yaml.safe_dump(conda, sort_keys=False) if conda else None,
        image=docker.get("baseImage"),
        dockerfile=docker.get("baseDockerfile"),
    )


def recorded_data(definition: Mapping[str, Any]) -> RegisteredDataset | DatastorePath | None:
    """The data of a recorded job.

    Raises:
        SubmitError: It is a dataset without a name, which submit doesn't send.
    """
    reference = (definition.get("dataReferences") or {}).get(DATA)
    if reference:
        return DatastorePath(reference["dataStoreName"], reference["pathOnDataStore"], reference["mode"].lower())
    entry = (definition.get("data") or {}).get(DATA)
    if not entry:
        return None
    dataset = entry["dataLocation"]["dataset"]
    if not dataset.get("name"):
        raise SubmitError("the recorded request has a dataset without a name; send the job with submit run")
    return RegisteredDataset(dataset["name"], str(dataset.get("version") or "latest"), entry["mechanism"].lower())
