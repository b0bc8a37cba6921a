"""The one workspace that the emulator has."""

import uuid

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
TENANT = "22222222-2222-2222-2222-222222222222"
CLIENT_ID = "33333333-3333-3333-3333-333333333333"  # of the service principal that control scripts log in with
RESOURCE_GROUP = "emulator"
WORKSPACE = "emulator"
WORKSPACE_ID = "11111111-1111-1111-1111-111111111111"
LOCATION = "westeurope"
SCOPE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE}"
)
OPERATIONS = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations/{LOCATION}"

# The client builds a blob's address anew from the account's name, always with https and .blob., so it can be given
# neither plain http nor 127.0.0.1.
BLOB_HOST = "emulator.blob.core.windows.net"
BLOB_CONTAINER = "azureml"
RESOURCE_MANAGER_HOST = "management.azure.com"  # the client derives it from the cloud's name
# azure-ai-ml and azureml-mlflow send tokens with https only, so that they need this host for what others have by http.
API_HOST = f"{LOCATION}.api.azureml.ms"
REGISTRY_HOST = "eastus.api.azureml.ms"  # where the client asks for any registry
REGISTRY = "azureml"  # of the environments that Azure provides
REGISTRY_SUBSCRIPTION = "44444444-4444-4444-4444-444444444444"
REGISTRY_GROUP = "registry"
LOGIN_HOST = "login.microsoftonline.com"
TELEMETRY_HOST = "dc.services.visualstudio.com"  # azureml-dataprep always sends telemetry

DATASTORE = "workspaceblobstore"
ARTIFACT_STORE = "workspaceartifactstore"  # with the files of runs
DATASTORE_CONTAINER = f"azureml-blobstore-{WORKSPACE_ID}"


def experiment_id(name: str) -> str:
    """Equal names have equal ids, in any instance of the emulator."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{SCOPE}/experiments/{name}"))


def blob_address(path: str, container: str = BLOB_CONTAINER) -> str:
    """An address with a signature that doesn't expire; the path must be URL-encoded, and is empty for a container."""
    signature = f"sv=2019-07-07&sr={'b' if path else 'c'}&sig=emulator&se=2099-01-01T00%3A00%3A00Z&sp=rcwl"
    return f"https://{BLOB_HOST}/{container}{'/' if path else ''}{path}?{signature}"
