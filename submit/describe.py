"""Describes the job that the options mean: a pure function of the options and of the files that they name."""

import re
from collections.abc import Sequence
from pathlib import Path

from lightning_app.command_line.flags import flag_names
from submit.environments import choose_environment
from submit.errors import SubmitError
from submit.job import DATA_PATH, Access, DatastorePath, Job, RegisteredDataset, Services
from submit.options import JobOptions

TRAINING = ("python", "-m", "lightning_app.fit")
# https://learn.microsoft.com/azure/machine-learning/resource-limits-capacity
TAG_NAME, TAG_VALUE = 100, 1000
_DATASTORE_URI = "azureml://datastores/"
_REGISTERED = re.compile(r"(?P<name>[^:@]+)(:(?P<version>[\w.-]+)|@latest)?", re.ASCII)
GIVEN_BY_SUBMIT = {
    "--trainer.num_nodes": "--nodes",
    "--trainer.devices": "--processes_per_node",
    "--data_path": "--dataset",
    "--data.data_path": "--dataset",
}


def describe_job(options: JobOptions, training: Sequence[str], extra: str | None = None) -> Job:
    """The job that the options mean; its environment has the ``extra`` of this project.

    Raises:
        SubmitError: Options exclude one another, or a file can't be used.
    """
    _require_one_owner(training, options)
    data = None if options.dataset is None else parse_dataset(options.dataset, options.access)
    processes = [f"--trainer.num_nodes={options.nodes}", f"--trainer.devices={options.processes_per_node}"]
    path = ["--data_path", DATA_PATH] if data else []
    return Job(
        experiment=options.experiment,
        command=(*TRAINING, *training, *path, *processes, *_limits(options.limit)),
        source_directory=options.source_directory,
        compute=options.compute,
        environment=choose_environment(options.environment, options.source_directory, extra),
        nodes=options.nodes,
        processes_per_node=options.processes_per_node,
        launcher=options.launcher,
        data=data,
        environment_variables=_variables(options.env),
        shared_memory=options.shm_size,
        max_duration_seconds=options.max_duration,
        vm_size=options.vm_size,
        low_priority=options.low_priority,
        tags=_tags(options.tags),
        services=Services(options.tensorboard, _ssh_key(options.ssh_key)),
    )


def parse_dataset(text: str, access: Access) -> RegisteredDataset | DatastorePath:
    """The dataset or the folder of a datastore that ``--dataset`` names.

    Raises:
        SubmitError: It has none of the forms that a dataset has.
    """
    if text.startswith(_DATASTORE_URI):
        datastore, separator, path = text.removeprefix(_DATASTORE_URI).partition("/paths/")
        if not (datastore and separator and path.strip("/")):
            raise SubmitError(f"--dataset {text!r}: expected azureml://datastores/NAME/paths/FOLDER")
        return DatastorePath(datastore, path.strip("/"), access)
    if text.startswith("azureml:/"):
        raise SubmitError(
            f"--dataset {text!r}: expected azureml://datastores/NAME/paths/FOLDER, or NAME:VERSION of a data asset"
        )
    text = text.removeprefix("azureml:")
    if "/" in text:
        return DatastorePath(None, _relative(text), access)
    found = _REGISTERED.fullmatch(text)
    if found is None:
        raise SubmitError(
            f"--dataset {text!r}: expected NAME, NAME:VERSION, NAME@latest, or a folder such as data/cifar10"
        )
    return RegisteredDataset(found["name"], found["version"] or "latest", access)


def _limits(limit: int | None) -> list[str]:
    parts = ("train", "val", "test") if limit else ()
    return [f"--trainer.limit_{part}_batches={limit}" for part in parts]


def _relative(path: str) -> str:
    if "://" in path or path.startswith(("/", ".", "~")):
        raise SubmitError(
            f"--dataset {path!r}: expected a folder of the datastore, such as data/cifar10; to use a folder of this "
            "machine, upload it first"
        )
    return path.strip("/")


def _require_one_owner(training: Sequence[str], options: JobOptions) -> None:
    for flag in flag_names(training):
        owner = GIVEN_BY_SUBMIT.get(flag)
        if owner == "--dataset" and options.dataset is None:
            raise SubmitError(f"{flag}: names a folder of this machine, which the job doesn't have; give --dataset")
        if owner is not None:
            raise SubmitError(f"{flag}: {owner} sets it for the launcher and for the training; give only {owner}")


def _tags(given: Sequence[str]) -> dict[str, str]:
    tags = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name or len(name) > TAG_NAME or len(value) > TAG_VALUE:
            raise SubmitError(
                f"--tag {item!r}: expected NAME=VALUE, of {TAG_NAME} and {TAG_VALUE:,} characters at most"
            )
        tags[name] = value
    return tags


def _ssh_key(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        key = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SubmitError(f"--ssh_key {str(file)!r}: can't be read ({error})") from error
    if not key.startswith(("ssh-", "ecdsa-", "sk-")) or "\n" in key:
        raise SubmitError(f"--ssh_key {str(file)!r}: isn't a public key; expected a file such as ~/.ssh/id_ed25519.pub")
    return key


def _variables(given: Sequence[str]) -> dict[str, str]:
    variables = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise SubmitError(f"--env {name!r}: expected NAME=VALUE, NAME of letters, digits and underscores")
        variables[name] = value
    return variables
