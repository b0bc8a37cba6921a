"""From the command line to the description of a job; a pure function of the flags and the files that they name."""

import argparse
from collections.abc import Sequence

from submit.environments import choose_environment
from submit.errors import SubmitError
from submit.job import DATA_PATH, DatastorePath, Job, RegisteredDataset

TRAINING = ("python", "-m", "lightning_app.fit")
_DATASTORE_URI = "azureml://datastores/"
GIVEN_BY_SUBMIT = {
    "--trainer.num_nodes": "--nodes",
    "--trainer.devices": "--processes_per_node",
    "--data_path": "--dataset",
    "--data.data_path": "--dataset",
}


def describe_job(options: argparse.Namespace, training: Sequence[str]) -> Job:
    """The job that the flags ask for.

    Raises:
        SubmitError: Flags contradict one another, or a file can't be used.
    """
    _require_one_owner(training, options)
    data = parse_dataset(options)
    place = [f"--trainer.num_nodes={options.nodes}", f"--trainer.devices={options.processes_per_node}"]
    path = ["--data_path", DATA_PATH] if data else []
    return Job(
        experiment=options.experiment,
        command=(*TRAINING, *training, *path, *place, *_limits(options)),
        source_directory=options.source_directory,
        compute=options.compute,
        environment=choose_environment(options),
        nodes=options.nodes,
        processes_per_node=options.processes_per_node,
        launcher=options.launcher,
        data=data,
        environment_variables=_variables(options.env),
        shared_memory=options.shm_size,
        max_duration_seconds=options.max_duration,
    )


def parse_dataset(options: argparse.Namespace) -> RegisteredDataset | DatastorePath | None:
    """What ``--dataset`` names.

    Raises:
        SubmitError: It names nothing that Azure ML could have.
    """
    what = options.dataset
    if what is None:
        return None
    if what.startswith(_DATASTORE_URI):
        datastore, found, path = what.removeprefix(_DATASTORE_URI).partition("/paths/")
        if not (datastore and found and path.strip("/")):
            raise SubmitError(f"--dataset {what!r}: expected azureml://datastores/NAME/paths/FOLDER")
        return DatastorePath(datastore, path.strip("/"), options.access)
    if "/" in what:
        return DatastorePath(None, _relative(what), options.access)
    name, _, version = what.partition(":")
    if not name or (version and not version.isdecimal() and version != "latest"):
        raise SubmitError(f"--dataset {what!r}: expected NAME, NAME:VERSION, or a folder such as data/cifar10")
    return RegisteredDataset(name, version or "latest", options.access)


def _limits(options: argparse.Namespace) -> list[str]:
    limit = getattr(options, "limit", None)
    parts = ("train", "val", "test") if limit else ()
    return [f"--trainer.limit_{part}_batches={limit}" for part in parts]


def _relative(path: str) -> str:
    if "://" in path or path.startswith(("/", ".", "~")):
        raise SubmitError(
            f"--dataset {path!r}: expected a folder of the datastore, such as data/cifar10; to put a folder of this "
            "machine there, upload it first"
        )
    return path.strip("/")


def _require_one_owner(training: Sequence[str], options: argparse.Namespace) -> None:
    for word in training:
        flag = word.partition("=")[0]
        owner = GIVEN_BY_SUBMIT.get(flag)
        if owner == "--dataset" and options.dataset is None:
            raise SubmitError(f"{flag}: names a folder of this machine, which the job doesn't have; give --dataset")
        if owner is not None:
            raise SubmitError(f"{flag}: {owner} says it to the launcher and to the training alike; give that alone")


def _variables(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise SubmitError(f"--env {name!r}: expected NAME=VALUE, NAME of letters, digits and underscores")
        found[name] = value
    return found
