"""The request that Azure ML recorded for a run, read back: its shape, its command, and the job it describes."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from submit.describe import GIVEN_BY_SUBMIT, TRAINING
from submit.environments import PROJECT_ENVIRONMENT
from submit.errors import SubmitError
from submit.job import (
    DATA_PATH,
    RESUME_PATH,
    BuiltEnvironment,
    CuratedEnvironment,
    DatastorePath,
    Job,
    RegisteredDataset,
)
from submit.runs.run_info import shape_of
from submit.sdk_v1 import DATA, DATASET_PLACEHOLDER, DATASTORE_PATH_PLACEHOLDER

ARTIFACT_STORE = "workspaceartifactstore"  # of every workspace; the files of its runs are in it
_RESUME = "--resume"


def resumed_job(
    definition: Mapping[str, Any], experiment: str, folder: Path, outputs: str, training: Sequence[str]
) -> Job:
    """The job that was recorded, going on from a run's outputs.

    Args:
        definition: The run's ``runDefinition``.
        experiment: Where the new run belongs.
        folder: What its snapshot is made of: the recorded one can't be sent again.
        outputs: The path of the run's outputs in the ``ARTIFACT_STORE``.
        training: Flags of the training that are other than they were.

    Raises:
        SubmitError: It wasn't sent by submit run, or a flag says what is given.
    """
    for word in training:
        flag = word.partition("=")[0]
        if flag in (_RESUME, *GIVEN_BY_SUBMIT):
            raise SubmitError(f"{flag}: the new run has this from the run that it goes on from")
    nodes, processes = shape_of(definition)
    docker = definition.get("docker") or {}
    return Job(
        experiment=experiment,
        command=(*_command(definition), *training, _RESUME, RESUME_PATH),
        source_directory=folder,
        compute=definition["target"],
        environment=_environment(definition["environment"]),
        nodes=nodes or 1,
        processes_per_node=processes or 1,
        launcher="mpi" if "mpi" in str(definition.get("communicator")).lower() else "pytorch",
        data=_data(definition),
        resume=DatastorePath(ARTIFACT_STORE, outputs, "mount"),
        environment_variables=dict(definition.get("environmentVariables") or {}),
        shared_memory=docker.get("shmSize") or Job.shared_memory,
        max_duration_seconds=definition.get("maxRunDurationSeconds"),
    )


def _command(definition: Mapping[str, Any]) -> list[str]:
    words = shlex.split(definition.get("command") or "")
    if tuple(words[: len(TRAINING)]) != TRAINING:
        raise SubmitError(f"the run's command is {' '.join(words)!r}; expected one that submit run has sent")
    return [
        DATA_PATH if word in (DATASET_PLACEHOLDER, DATASTORE_PATH_PLACEHOLDER) else word
        for word in _without_resume(words)
    ]


def _without_resume(words: Sequence[str]) -> Iterator[str]:
    rest = iter(words)
    for word in rest:
        if word == _RESUME:
            next(rest, None)  # its value
        elif not word.startswith(f"{_RESUME}="):
            yield word


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


def _data(definition: Mapping[str, Any]) -> RegisteredDataset | DatastorePath | None:
    reference = (definition.get("dataReferences") or {}).get(DATA)
    if reference:
        return DatastorePath(reference["dataStoreName"], reference["pathOnDataStore"], reference["mode"].lower())
    entry = (definition.get("data") or {}).get(DATA)
    if not entry:
        return None
    dataset = entry["dataLocation"]["dataset"]
    if not dataset.get("name"):
        raise SubmitError("the recorded request has its dataset without a name; send the job with submit run")
    return RegisteredDataset(dataset["name"], str(dataset.get("version") or "latest"), entry["mechanism"].lower())


@dataclass(frozen=True)
class JobShape:
    """Nodes, processes on each, and who starts them."""

    nodes: int
    processes_per_node: int
    launcher: str


def job_shape(configuration: Mapping[str, Any]) -> JobShape:
    """As Azure ML reads it: the communicator says which section counts."""
    if configuration["communicator"] == "IntelMpi":
        mpi = configuration["mpi"]
        return JobShape(configuration["nodeCount"], mpi["processCountPerNode"], "mpi")
    pytorch = configuration["pytorch"]
    nodes = pytorch["nodeCount"]
    return JobShape(nodes, (pytorch["processCount"] or nodes) // nodes, "pytorch")


def job_command(configuration: Mapping[str, Any], python: str, data: str | None) -> list[str]:
    """The words of the command, with this machine's Python and the path at which the data is."""
    words = shlex.split(configuration["command"])
    replaced = {"python": python} | ({DATASET_PLACEHOLDER: data, DATASTORE_PATH_PLACEHOLDER: data} if data else {})
    return [replaced.get(word, word) for word in words]


def job_variables(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that the user gave."""
    return dict(configuration.get("environmentVariables") or {})
