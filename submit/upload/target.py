"""The target of an upload: its path, and the value of ``--dataset`` for it."""

from submit.errors import SubmitError
from submit.job import DEFAULT_DATASTORE
from submit.upload.folder import can_be_a_blob


def target_path(text: str) -> str:
    """The path without trailing slashes.

    Raises:
        SubmitError: ``--dataset`` can't name this path.
    """
    path = text.rstrip("/")
    parts = path.split("/")
    if "" in parts or path.startswith((".", "~")) or "://" in path or not can_be_a_blob(path):
        raise SubmitError(f"--target {text!r}: expected a folder of the datastore, such as data/cifar10")
    return path


def folder_address(datastore: str, path: str) -> str:
    return f"azureml://datastores/{datastore}/paths/{path}"


def dataset_value(datastore: str, path: str) -> str:
    """The value of ``--dataset``; without a slash it would name a registered dataset."""
    if datastore != DEFAULT_DATASTORE:
        return folder_address(datastore, path)
    return path if "/" in path else f"{path}/"
