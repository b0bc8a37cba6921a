"""The request that Azure ML recorded for a run, read back: its shape, its command, and the job that it describes."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lightning_app.command_line.flags import flag_names, last_value, without_flag
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
    Launcher,
    RegisteredDataset,
)
from submit.low_priority import CHECKPOINT_DIR, VARIABLE
from submit.sdk_v1 import (
    CHECKPOINTS_PLACEHOLDER,
    DATA,
    DATASET_PLACEHOLDER,
    DATASTORE_PATH_PLACEHOLDER,
    JOB_KEY,
)

ARTIFACT_STORE = "workspaceartifactstore"  # a datastore of every workspace, with the files of its runs
_RESUME = "--resume"
_SHELL = re.compile(r"[|&;<>`]")
_LIMITS = (("--num_epochs", "--trainer.max_epochs"), ("--trainer.max_steps",), ("--trainer.max_time",))
_DATA_PLACEHOLDERS = (DATASET_PLACEHOLDER, DATASTORE_PATH_PLACEHOLDER)


@dataclass(frozen=True)
class JobShape:
    """The number of nodes, the processes on each node, and what starts them."""

    nodes: int
    processes_per_node: int
    launcher: Launcher


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
    definition: Mapping[str, Any], experiment: str, folder: Path, outputs: str, training: Sequence[str]
) -> Job:
    """The recorded job, which continues from a run's outputs.

    Args:
        definition: The run's ``runDefinition``.
        experiment: The experiment of the new run.
        folder: The folder of the new snapshot, because the recorded snapshot can't be sent again.
        outputs: The path of the run's outputs in the ``ARTIFACT_STORE``.
        training: Flags of the training that differ from the recorded ones.

    Raises:
        SubmitError: ``submit run`` didn't send the run, or a flag sets what the recorded run decides.
    """
    for flag in flag_names(training):
        if flag in (_RESUME, *GIVEN_BY_SUBMIT):
            raise SubmitError(f"{flag}: the new run takes this from the run that it resumes; leave it out")
    shape = job_shape(definition) or JobShape(1, 1, "pytorch")
    docker = definition.get("docker") or {}
    return Job(
        experiment=experiment,
        command=(*_training_command(definition), *training, _RESUME, RESUME_PATH),
        source_directory=folder,
        compute=definition["target"],
        environment=_environment(definition["environment"]),
        nodes=shape.nodes,
        processes_per_node=shape.processes_per_node,
        launcher=shape.launcher,
        data=_data(definition),
        resume=DatastorePath(ARTIFACT_STORE, outputs, "mount"),
        environment_variables={
            name: value for name, value in job_variables(definition).items() if name not in (JOB_KEY, VARIABLE)
        },
        shared_memory=docker.get("shmSize") or Job.shared_memory,
        max_duration_seconds=definition.get("maxRunDurationSeconds"),
    )


def require_more_training(run_id: str, definition: Mapping[str, Any], training: Sequence[str]) -> None:
    """Checks that a resumed run has something to do; one that has completed has trained all that it was asked for.

    Raises:
        SubmitError: Neither more epochs nor more steps nor more time are given.
    """
    earlier = shlex.split(definition.get("command") or "")
    for flags in _LIMITS:
        given, before = last_value(training, *flags), last_value(earlier, *flags)
        if given is None:
            continue
        if before is None or not (given.isdecimal() and before.isdecimal()) or int(given) > int(before):
            return
        raise SubmitError(f"{flags[0]} {given}: run {run_id} has completed {before}; give a higher number")
    epochs = last_value(earlier, *_LIMITS[0])
    what = f"its {epochs} epochs" if epochs else "its epochs"
    raise SubmitError(f"run {run_id} has completed {what}; to train on, give a higher --num_epochs")


def _training_command(definition: Mapping[str, Any]) -> list[str]:
    command = shlex.split(definition.get("command") or "")
    if tuple(command[: len(TRAINING)]) != TRAINING:
        raise SubmitError(f"the run's command is {' '.join(command)!r}; expected a run that submit run has sent")
    command = without_flag(command, _RESUME)
    if last_value(command, CHECKPOINT_DIR) == CHECKPOINTS_PLACEHOLDER:  # the new run has a folder of its own
        command = without_flag(command, CHECKPOINT_DIR)
    return [DATA_PATH if word in _DATA_PLACEHOLDERS else word for word in command]


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
        raise SubmitError("the recorded request has a dataset without a name; send the job with submit run")
    return RegisteredDataset(dataset["name"], str(dataset.get("version") or "latest"), entry["mechanism"].lower())
