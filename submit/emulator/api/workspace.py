"""The resource manager: the subscription, the workspace, and the sizes of virtual machines there are."""

from submit.rehearsal.answers import Answer, json_answer
from submit.rehearsal.authorisation import Parameters
from submit.rehearsal.calls import Call
from submit.rehearsal.state import State
from submit.rehearsal.workspace import LOCATION, SCOPE, SUBSCRIPTION, TENANT, WORKSPACE, WORKSPACE_ID

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


def list_subscriptions(state: State, call: Call, parameters: Parameters) -> Answer:
    subscription = {
        "id": f"/subscriptions/{SUBSCRIPTION}",
        "subscriptionId": SUBSCRIPTION,
        "tenantId": TENANT,
        "displayName": "rehearsal",
        "state": "Enabled",
    }
    return json_answer({"value": [subscription]})


def get_workspace(state: State, call: Call, parameters: Parameters) -> Answer:
    return json_answer(
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
                "discoveryUrl": f"{state.url}/discovery/workspaces/{WORKSPACE_ID}",
            },
        }
    )


def list_vm_sizes(state: State, call: Call, parameters: Parameters) -> Answer:
    sizes = [
        {"name": name, "vCPUs": cpus, "gpus": gpus, "memoryGB": memory, "maxResourceVolumeMB": disk * 1024}
        for name, cpus, gpus, memory, disk in VM_SIZES
    ]
    return json_answer({"amlCompute": sizes})
