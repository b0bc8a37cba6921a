"""The one workspace that is rehearsed."""

import uuid

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
RESOURCE_GROUP = "rehearsal"
WORKSPACE = "rehearsal"
WORKSPACE_ID = "11111111-1111-1111-1111-111111111111"
SCOPE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)

# The client takes the account's name out of a blob's address and builds the address anew, always with https and
# .blob., so neither plain http nor 127.0.0.1 can be asked for.
BLOB_HOST = "rehearsal.blob.core.windows.net"
BLOB_CONTAINER = "azureml"


def experiment_id(name: str) -> str:
    """The same name has the same id, in any service."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{SCOPE}/experiments/{name}"))
