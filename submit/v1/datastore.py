"""Datastores of azureml-core that can be uploaded to."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from submit.errors import ServiceError, SubmitError, describe_error, is_not_found
from submit.interface import Datastore

if TYPE_CHECKING:
    from azureml.core import Workspace


def open_datastore(workspace: "Workspace", name: str | None) -> Datastore:
    """The workspace's default datastore, or a named one.

    Raises:
        SubmitError: There is no such datastore, or azureml-core can't upload to it.
        ServiceError: The service doesn't respond.
    """
    from azureml import core

    try:
        datastore = core.Datastore.get(workspace, name) if name else workspace.get_default_datastore()
    except Exception as error:  # azureml-core raises errors of several libraries
        if name and is_not_found(error):
            raise SubmitError(
                f"--datastore {name!r}: the workspace has no such datastore{_others(workspace)}"
            ) from error
        raise ServiceError(f"the datastore can't be opened: {describe_error(error)}") from error
    require_blobs(datastore)
    client = datastore.blob_service.get_container_client(datastore.container_name)
    return Datastore(datastore.name, client, import_module("azureml._vendor.azure_storage.blob"))


def require_blobs(datastore: Any) -> None:
    """Raises SubmitError for a datastore to which azureml-core can't upload."""
    from azureml.data.azure_storage_datastore import AzureBlobDatastore

    given = f"--datastore {datastore.name!r}"
    if not isinstance(datastore, AzureBlobDatastore):
        raise SubmitError(f"{given}: has the type {datastore.datastore_type}; expected a blob container (AzureBlob)")
    if datastore.credential_type == "None":
        raise SubmitError(
            f"{given}: the workspace has neither a key nor a SAS token for it; upload with "
            f"'az storage blob upload-batch' to container {datastore.container_name!r} of account "
            f"{datastore.account_name!r}"
        )


def _others(workspace: "Workspace") -> str:
    try:
        return f"; it has {', '.join(repr(name) for name in workspace.datastores)}"
    except Exception:  # the message is complete without the names
        return ""
