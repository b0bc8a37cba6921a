"""Where a folder goes: the datastore, the path in it, and the name under which a job finds it."""

from typing import TYPE_CHECKING, Any

from submit.errors import ServiceError, SubmitError, describe_error
from submit.sdk_v1 import DEFAULT_DATASTORE
from submit.upload.folder import can_be_a_blob

if TYPE_CHECKING:
    from azureml.core import Workspace


def target_path(text: str) -> str:
    """The path without slashes at its end.

    Raises:
        SubmitError: ``--dataset`` couldn't name it.
    """
    path = text.rstrip("/")
    parts = path.split("/")
    if "" in parts or path.startswith((".", "~")) or "://" in path or not can_be_a_blob(path):
        raise SubmitError(f"--target {text!r}: expected a folder of the datastore, such as data/cifar10")
    return path


def dataset_value(datastore: str, path: str) -> str:
    """What ``--dataset`` takes; a name without a slash would be that of a registered dataset."""
    if datastore != DEFAULT_DATASTORE:
        return f"azureml://datastores/{datastore}/paths/{path}"
    return path if "/" in path else f"{path}/"


def open_datastore(workspace: "Workspace", name: str | None) -> Any:
    """The workspace's default datastore, or a named one.

    Raises:
        SubmitError: There is none of this name, or nothing can be uploaded to it by azureml-core alone.
        ServiceError: The service doesn't say.
    """
    from azureml.core import Datastore

    try:
        datastore = Datastore.get(workspace, name) if name else workspace.get_default_datastore()
    except Exception as error:  # azureml-core lets errors of several libraries through
        if name and _is_unknown(error):
            raise SubmitError(
                f"--datastore {name!r}: the workspace has none of this name{_others(workspace)}"
            ) from error
        raise ServiceError(f"the datastore can't be opened: {describe_error(error)}") from error
    require_blobs(datastore)
    return datastore


def require_blobs(datastore: Any) -> None:
    """Raises SubmitError for a datastore to which azureml-core alone can't upload."""
    from azureml.data.azure_storage_datastore import AzureBlobDatastore

    given = f"--datastore {datastore.name!r}"
    if not isinstance(datastore, AzureBlobDatastore):
        raise SubmitError(f"{given}: is of the type {datastore.datastore_type}; expected a blob container (AzureBlob)")
    if datastore.credential_type == "None":
        raise SubmitError(
            f"{given}: the workspace keeps neither a key nor a SAS token for it; expected one of them; upload with "
            f"'az storage blob upload-batch' to container {datastore.container_name!r} of account "
            f"{datastore.account_name!r}"
        )


def _is_unknown(error: BaseException | None) -> bool:
    """Whether the answer was a 404; azureml-core raises an error without it in the midst of handling one with it."""
    while error is not None:
        if getattr(getattr(error, "response", None), "status_code", None) == 404:
            return True
        error = error.__cause__ or error.__context__
    return False


def _others(workspace: "Workspace") -> str:
    try:
        return f"; it has {', '.join(repr(name) for name in workspace.datastores)}"
    except Exception:  # the message is complete without them
        return ""
