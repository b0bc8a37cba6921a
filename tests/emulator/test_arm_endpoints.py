"""Managed online endpoints and deployments, made by scripts of the real azure-ai-ml."""

import re
from typing import Any

import pytest

from submit.emulator.workspace import SCOPE
from tests.support.submitters_v2 import V2Submitter

WALK = """
from azure.ai.ml.entities import CodeConfiguration, ManagedOnlineDeployment, ManagedOnlineEndpoint

def deployment(name, **further):
    settings = dict(
        name=name, endpoint_name="birds", model=Model(path="model", type="custom_model"), instance_count=2,
        code_configuration=CodeConfiguration(code="src", scoring_script="train.py"), instance_type="Standard_DS3_v2",
        environment="azureml://registries/azureml/environments/acpt-pytorch-2.8-cuda12.6/versions/1")
    return ManagedOnlineDeployment(**{**settings, **further})

def refused(action):
    try:
        action()
    except Exception as error:
        return str(error).splitlines()[0]

pathlib.Path("model").mkdir()
pathlib.Path("model/model.onnx").write_text("the network")
made = ml.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="birds", tags={"team": "x"}))
meanwhile = ml.online_endpoints.get("birds").provisioning_state
endpoint = made.result()
unknown_model = refused(lambda: ml.online_deployments.begin_create_or_update(deployment("red", model="azureml:no:1")))
for name in ("blue", "green"):
    ml.online_deployments.begin_create_or_update(deployment(name)).result()
endpoint.traffic = {"blue": 90, "green": 10}
endpoint = ml.online_endpoints.begin_create_or_update(endpoint).result()
keys = ml.online_endpoints.get_keys("birds")
found = ml.online_deployments.get("blue", "birds")
found.instance_count = 3
found = ml.online_deployments.begin_create_or_update(found).result()
in_use = refused(lambda: ml.online_deployments.begin_delete("green", "birds").result())
endpoint.traffic = {"blue": 90}
sum_of_90 = refused(lambda: ml.online_endpoints.begin_create_or_update(endpoint))
endpoint.traffic = {"blue": 100}
ml.online_endpoints.begin_create_or_update(endpoint).result()
ml.online_deployments.begin_delete("green", "birds").result()
left = {each.name: each.instance_count for each in ml.online_deployments.list("birds")}
listed = [each.name for each in ml.online_endpoints.list()]
traffic = ml.online_endpoints.get("birds").traffic
ml.online_endpoints.begin_delete("birds").result()
gone = refused(lambda: ml.online_endpoints.get("birds"))
print()
print(json.dumps({
    "states": [meanwhile, endpoint.provisioning_state, found.provisioning_state], "tags": endpoint.tags,
    "uri": endpoint.scoring_uri, "keys": [keys.primary_key, keys.secondary_key], "left": left, "listed": listed,
    "traffic": traffic, "refused": [unknown_model, in_use, sum_of_90, gone],
    "script": found.code_configuration.scoring_script,
}))
"""


def test_an_endpoint_with_two_deployments_is_made_changed_and_deleted(v2_submitter: V2Submitter) -> None:
    v2_submitter.service.set_creation_time(0.2)

    found = v2_submitter.script_result(WALK)

    assert found["states"] == ["Creating", "Succeeded", "Succeeded"]
    assert (found["tags"], found["script"]) == ({"team": "x"}, "train.py")
    assert found["uri"] == "https://birds.westeurope.inference.ml.azure.com/score"
    assert len(set(found["keys"])) == 2
    assert (found["left"], found["listed"], found["traffic"]) == ({"blue": 3}, ["birds"], {"blue": 100})
    for text, expected in zip(
        found["refused"],
        (
            r".*no model 'no' with version '1'",
            r".*'green' has 10 % of the traffic; set it to 0 first",
            r".*traffic has the sum 90; expected 100, or 0",
            r".*no online endpoint 'birds'",
        ),
        strict=True,
    ):
        assert re.match(expected, text), text
    assert v2_submitter.service.endpoints == []
    assert v2_submitter.service.unknown == []


@pytest.mark.parametrize(
    ("name", "properties", "message"),
    [
        ("birds", {"authMode": "Password"}, "authMode 'Password' isn't emulated"),
        ("birds", {"authMode": "Key", "mirrorTraffic": {"blue": 10}}, "property 'mirrorTraffic' isn't emulated"),
        ("birds", {"authMode": "Key", "compute": "aks"}, "property 'compute' isn't emulated"),
        ("birds", {"authMode": "Key", "traffic": {"blue": 100}}, "traffic: the endpoint has no deployment 'blue'"),
        ("1st", {"authMode": "Key"}, "the name of the endpoint, '1st': expected 3 to 32 letters"),
    ],
)
def test_an_endpoint_that_is_not_emulated_is_refused(
    v2_submitter: V2Submitter, name: str, properties: dict[str, Any], message: str
) -> None:
    status, content = v2_submitter.manage("PUT", f"{SCOPE}/onlineEndpoints/{name}", {"properties": properties})

    assert (status, content["error"]["message"][: len(message)]) == (400, message)
    assert v2_submitter.service.endpoints == []


@pytest.mark.parametrize(
    ("properties", "capacity", "message"),
    [
        ({"endpointComputeType": "Kubernetes"}, 1, "endpointComputeType 'Kubernetes' isn't emulated"),
        ({"scaleSettings": {"scaleType": "TargetUtilization"}}, 1, "scaleType 'TargetUtilization' isn't emulated"),
        ({"livenessProbe": {"period": "PT1S"}}, 1, "property 'livenessProbe' isn't emulated"),
        ({"instanceType": None}, 1, "the deployment has no instanceType"),
        ({}, 0, "sku.capacity 0: expected a number of machines"),
        ({"model": "azureml://jobs/x/outputs/y"}, 1, "model 'azureml://jobs/x/outputs/y': expected the id"),
        ({"environmentId": "azureml:none:1"}, 1, "the workspace has no environment 'none'"),
    ],
)
def test_a_deployment_that_is_not_emulated_is_refused(
    v2_submitter: V2Submitter, properties: dict[str, Any], capacity: int, message: str
) -> None:
    v2_submitter.service.add_environment("serving", "registry/own:1")
    address = f"{SCOPE}/onlineEndpoints/birds"
    assert v2_submitter.manage("PUT", address, {"properties": {"authMode": "Key"}})[0] == 201
    usual = {"endpointComputeType": "Managed", "instanceType": "Standard_DS3_v2", "environmentId": "azureml:serving:1"}
    body = {"properties": usual | properties, "sku": {"name": "Default", "capacity": capacity}}

    _, content = v2_submitter.manage("PUT", f"{address}/deployments/blue", body)

    assert content["error"]["message"][: len(message)] == message
    assert v2_submitter.service.endpoints[0].deployments == {}
