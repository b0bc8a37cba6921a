"""The one workspace that is rehearsed."""

import uuid

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
TENANT = "22222222-2222-2222-2222-222222222222"
RESOURCE_GROUP = "rehearsal"
WORKSPACE = "rehearsal"
WORKSPACE_ID = "11111111-1111-1111-1111-111111111111"
LOCATION = "westeurope"
SCOPE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)

# The client takes the account's name out of a blob's address and builds the address anew, always with https and
# .blob., so neither plain http nor 127.0.0.1 can be asked for.
BLOB_HOST = "rehearsal.blob.core.windows.net"
BLOB_CONTAINER = "azureml"
RESOURCE_MANAGER_HOST = "management.azure.com"  # which the client takes from its name of the cloud
TELEMETRY_HOST = "dc.services.visualstudio.com"  # azureml-dataprep can't be told to leave it alone

DATASTORE = "workspaceblobstore"
DATASTORE_CONTAINER = f"azureml-blobstore-{WORKSPACE_ID}"


def experiment_id(name: str) -> str:
    """The same name has the same id, in any service."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{SCOPE}/experiments/{name}"))


def blob_address(path: str) -> str:
    """With a signature that lasts; the path is one that needs no encoding, or is encoded."""
    signature = "sv=2019-07-07&sr=b&sig=rehearsal&se=2099-01-01T00%3A00%3A00Z&sp=rcw"
    return f"https://{BLOB_HOST}/{BLOB_CONTAINER}/{path}?{signature}"
