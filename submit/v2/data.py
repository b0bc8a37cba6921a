"""Data assets of the workspace: found, and registered as folders of a datastore."""

from typing import TYPE_CHECKING, Any

from submit.errors import is_not_found
from submit.interface import DataVersion
from submit.runs.retry import service_errors
from submit.v2.datastore import in_datastore

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

FOLDER = "uri_folder"


def find_asset(client: "MLClient", name: str, version: str | None) -> Any:
    """A version of a data asset, by default the newest; None if there is no such name or version."""
    try:
        return client.data.get(name, version=version) if version else client.data.get(name, label="latest")
    except Exception as reason:  # azure-ai-ml raises errors of several libraries
        if is_not_found(reason):
            return None
        raise


def find_data(client: "MLClient", name: str, version: str | None) -> DataVersion | None:
    """As ``find_asset``, with the address in the form in which ``--dataset`` takes it.

    Raises:
        ServiceError: Azure ML doesn't respond.
    """
    with service_errors(f"the data asset {name}"):
        found = find_asset(client, name, version)
    if found is None:
        return None
    place = in_datastore(str(found.path))
    address = f"azureml://datastores/{place[0]}/paths/{place[1]}" if place else str(found.path)
    return DataVersion(str(found.version), address)


def register_data(client: "MLClient", name: str, version: str | None, address: str) -> str:
    """Registers a folder as a version, by default the next one, and returns that.

    Raises:
        ServiceError: Azure ML refuses or doesn't respond.
    """
    from azure.ai.ml.entities import Data

    with service_errors(f"the data asset {name}"):
        created = client.data.create_or_update(Data(name=name, version=version, path=f"{address}/", type=FOLDER))
        return str(created.version)
