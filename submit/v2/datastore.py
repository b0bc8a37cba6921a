"""Blob containers of a workspace, opened with what the workspace has for them or with the user's own login."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from submit.errors import ServiceError, SubmitError, describe_error, is_not_found
from submit.interface import Datastore
from submit.v2.enumerations import plain

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_BLOBS = "azureblob"


def open_datastore(client: "MLClient", name: str | None) -> Datastore:
    """The workspace's default datastore, or a named one.

    Raises:
        SubmitError: There is no such datastore, or it is no blob container.
        ServiceError: The service doesn't respond.
    """
    try:
        found = client.datastores.get(name, include_secrets=True) if name else _default(client)
    except Exception as error:  # azure-ai-ml raises errors of several libraries
        if name and is_not_found(error):
            raise SubmitError(f"--datastore {name!r}: the workspace has no such datastore{_others(client)}") from error
        raise ServiceError(f"the datastore can't be opened: {describe_error(error)}") from error
    if not is_blobs(found):
        raise SubmitError(f"--datastore {found.name!r}: has the type {_type(found)}; expected a blob container")
    return Datastore(str(found.name), container_client(client, found), import_module("azure.storage.blob"))


def container_client(client: "MLClient", datastore: Any) -> Any:
    """A ContainerClient for a datastore with its secrets; without any, it uses the user's own login."""
    from azure.storage.blob import ContainerClient

    secrets = datastore.credentials
    key = getattr(secrets, "account_key", None) or getattr(secrets, "sas_token", None) or client._credential
    address = f"{datastore.protocol}://{datastore.account_name}.blob.{datastore.endpoint}"
    return ContainerClient(address, datastore.container_name, credential=key)


def in_datastore(address: str) -> tuple[str, str] | None:
    """The datastore and the path in an address, also where it has the subscription; None if it is another address."""
    parts = address.split("/")
    if "datastores" not in parts or "paths" not in parts:
        return None
    return parts[parts.index("datastores") + 1], "/".join(parts[parts.index("paths") + 1 :]).strip("/")


def is_blobs(datastore: Any) -> bool:
    return _type(datastore) == _BLOBS


def _type(datastore: Any) -> str:
    return plain(datastore.type).lower().replace("_", "")


def _default(client: "MLClient") -> Any:
    return client.datastores.get(client.datastores.get_default().name, include_secrets=True)


def _others(client: "MLClient") -> str:
    try:
        return f"; it has {', '.join(repr(each.name) for each in client.datastores.list())}"
    except Exception:  # the message is complete without the names
        return ""
