"""The resource manager and the datastore: the subscription, the workspace and its VM sizes."""

from submit.emulator.auth import Parameters, for_user
from submit.emulator.messages import ApiError, Request, Response, json_response
from submit.emulator.routing import Route
from submit.emulator.state import State
from submit.emulator.workspace import (
    API_HOST,
    LOCATION,
    OPERATIONS,
    RESOURCE_GROUP,
    SCOPE,
    SUBSCRIPTION,
    TENANT,
    WORKSPACE,
    WORKSPACE_ID,
)

_V2 = "2022-10-01"  # the first version of the interface that azure-ai-ml asks for
# name, vCPUs, GPUs, GB of memory, GB of disk: https://learn.microsoft.com/azure/virtual-machines/sizes/overview
VM_SIZES = (
    ("Standard_DS3_v2", 4, 0, 14, 28),
    ("Standard_D4s_v3", 4, 0, 16, 32),
    ("Standard_NC4as_T4_v3", 4, 1, 28, 176),
    ("Standard_NC16as_T4_v3", 16, 1, 110, 352),
    ("Standard_NC64as_T4_v3", 64, 4, 440, 2816),
    ("Standard_NC24ads_A100_v4", 24, 1, 220, 958),
    ("Standard_NC48ads_A100_v4", 48, 2, 440, 1916),
    ("Standard_NC96ads_A100_v4", 96, 4, 880, 3832),
    ("Standard_ND96asr_v4", 96, 8, 900, 6000),
)


def list_subscriptions(state: State, request: Request, parameters: Parameters) -> Response:
    subscription = {
        "id": f"/subscriptions/{SUBSCRIPTION}",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
        "displayName": "emulator",
        "state": "Enabled",
    }
    return json_response({"value": [subscription]})


def get_workspace(state: State, request: Request, parameters: Parameters) -> Response:
    """The workspace; a client of SDK v2, which asks for a later version of the interface, needs https everywhere."""
    is_v2 = request.query.get("api-version", "") >= _V2
    address = f"https://{API_HOST}" if is_v2 else state.url
    account = "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.{}/emulator"
    return json_response(
        {
            "id": SCOPE,
            "name": WORKSPACE,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "location": LOCATION,
            "tags": {},
            "sku": {"name": "Basic", "tier": "Basic"},
            "properties": {
                "workspaceId": WORKSPACE_ID,
                "friendlyName": WORKSPACE,
                "provisioningState": "Succeeded",
                "discoveryUrl": f"{address}/discovery/workspaces/{WORKSPACE_ID}",
                "mlFlowTrackingUri": f"azureml://{API_HOST}/mlflow/v1.0{SCOPE}",
                "storageAccount": account.format(SUBSCRIPTION, RESOURCE_GROUP, "Storage/storageAccounts"),
                "keyVault": account.format(SUBSCRIPTION, RESOURCE_GROUP, "KeyVault/vaults"),
                "publicNetworkAccess": "Enabled",
            },
        }
    )


def refuse_workspace(state: State, request: Request, parameters: Parameters) -> Response:
    """Any workspace but the one that there is."""
    if parameters["subscription"] != SUBSCRIPTION:
        message = f"The subscription '{parameters['subscription']}' could not be found."
        raise ApiError(404, "SubscriptionNotFound", message)
    path = f"Microsoft.MachineLearningServices/workspaces/{parameters['name']}"
    message = f"The Resource '{path}' under resource group '{parameters['group']}' was not found."
    raise ApiError(404, "ResourceNotFound", message)


def list_vm_sizes(state: State, request: Request, parameters: Parameters) -> Response:
    sizes = [
        {"name": name, "vCPUs": cpus, "gpus": gpus, "memoryGB": memory, "maxResourceVolumeMB": disk * 1024}
        for name, cpus, gpus, memory, disk in VM_SIZES
    ]
    return json_response({"amlCompute": sizes, "value": sizes})  # the two SDKs' names for it


_ANY_WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices/workspaces/{name}"
)
RESOURCE_MANAGER_ROUTES = (
    Route("GET", "/subscriptions", for_user(list_subscriptions)),
    Route("GET", SCOPE, for_user(get_workspace)),
    Route("GET", _ANY_WORKSPACE, for_user(refuse_workspace)),
    Route("GET", f"{OPERATIONS}/vmSizes", for_user(list_vm_sizes)),
)
