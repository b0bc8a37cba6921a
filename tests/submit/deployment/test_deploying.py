"""Deployments at the emulator, sent by ``submit deploy`` with the unmodified azure-ai-ml."""

from pathlib import Path

import pytest

from submit.deployment.scoring_code import scoring_files
from submit.emulator import AzureMLEmulator, Fault
from tests.support.exports import make_export
from tests.support.submit_in_process import InProcess

DEPLOY = ("deploy", "--endpoint", "pictures")


@pytest.fixture
def user(service: AzureMLEmulator, tmp_path: Path) -> InProcess:
    service.set_creation_time(0)
    make_export(tmp_path / "a" / "export")
    make_export(tmp_path / "b" / "export", classes=["ant", "bee"])
    return InProcess(service, tmp_path)


def test_a_model_is_deployed_then_a_second_one_beside_it_and_then_the_traffic_moves(user: InProcess) -> None:
    first = user.submit(*DEPLOY, "a")
    assert first.status == 0, first.err

    (endpoint,) = user.service.endpoints
    blue = endpoint.deployments["blue"]
    properties = blue.content["properties"]
    assert (endpoint.auth_mode, endpoint.traffic) == ("Key", {"blue": 100})
    assert blue.files == scoring_files()
    assert properties["codeConfiguration"]["scoringScript"] == "score.py"
    assert (properties["instanceType"], blue.content["sku"]["capacity"]) == ("Standard_DS3_v2", 1)
    model = user.service.models[0]
    assert properties["model"].endswith(f"/models/{model.name}/versions/{model.version}")
    uploaded = {Path(path).name: content for path, content in user.service.datastore.items()}
    exported = user.folder / "a" / "export"
    assert uploaded == {path.name: path.read_bytes() for path in exported.iterdir()}
    assert first.out == (
        "pictures/blue answers at https://pictures.westeurope.inference.ml.azure.com/score\n"
        "Traffic: blue 100 %\n"
        "Key:     az ml online-endpoint get-credentials --name pictures\n"
        "Delete:  python -m submit undeploy --endpoint pictures\n"
    )
    cost, *steps = first.err.splitlines()
    assert cost.startswith(
        "note: cost: 7.03 USD a day, 213.89 USD a month of 730 h, until it is deleted (1 Standard_DS"
    )
    assert cost.endswith(", not those of westeurope")
    assert steps == ["Creating the endpoint 'pictures'.", "Deploying 'blue' on 1 Standard_DS3_v2."]
    assert not [key for key in endpoint.keys if key in first.out + first.err]

    again = user.submit(*DEPLOY, "b")
    assert (again.status, again.out) == (2, "")
    assert "--deployment 'blue': the endpoint 'pictures' has one of this name; give --update" in again.err
    half = user.submit(*DEPLOY, "b", "--deployment", "green")
    assert half.status == 0, half.err
    assert half.out.splitlines()[1] == "Traffic: blue 100 %, green 0 %"
    moved = user.submit(*DEPLOY, "b", "--deployment", "green", "--update", "--traffic", "30", "--instance_count", "2")
    assert moved.out.splitlines()[1] == "Traffic: blue 70 %, green 30 %"

    (endpoint,) = user.service.endpoints
    assert endpoint.traffic == {"blue": 70, "green": 30}
    assert endpoint.deployments["green"].content["sku"]["capacity"] == 2
    assert endpoint.deployments["green"].content["properties"]["model"] != properties["model"]
    assert user.service.unknown == []


def test_what_the_workspace_refuses_is_one_line_and_nothing_is_created(user: InProcess) -> None:
    share = user.submit(*DEPLOY, "a", "--traffic", "50")
    model = user.submit(*DEPLOY, "azureml:birds:7")
    environment = user.submit(*DEPLOY, "a", "--environment", "none:3")

    assert "--traffic 50: no other deployment of the endpoint gets requests" in share.err
    assert "azureml:birds:7: the workspace has no such version of a model" in model.err
    assert "--environment" in environment.err
    for outcome in (share, model, environment):
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
    assert (user.service.endpoints, user.service.datastore) == ([], {})


def test_a_service_that_fails_is_one_line(user: InProcess) -> None:
    user.service.inject(Fault.status(400, "/onlineEndpoints/pictures/deployments/blue"))

    outcome = user.submit(*DEPLOY, "a")

    assert (outcome.status, outcome.out) == (1, "")
    _, *steps, error = outcome.err.splitlines()
    assert steps == ["Creating the endpoint 'pictures'.", "Deploying 'blue' on 1 Standard_DS3_v2."]
    assert error.startswith("error: deployment 'blue': ")
    assert error.endswith("may cost money; python -m submit undeploy --endpoint pictures deletes it")
    assert user.submit("undeploy", "--sdk", "v2", "--endpoint", "pictures").status == 0
    assert user.service.endpoints == []


def test_a_further_deployment_that_fails_is_the_only_one_to_be_deleted(user: InProcess) -> None:
    assert user.submit(*DEPLOY, "a").status == 0
    user.service.inject(Fault.status(400, "/onlineEndpoints/pictures/deployments/green"))

    outcome = user.submit(*DEPLOY, "b", "--deployment", "green")

    assert outcome.status == 1
    assert outcome.err.endswith("python -m submit undeploy --endpoint pictures --deployment green deletes it\n")


def test_a_deployment_whose_update_fails_is_not_to_be_deleted(user: InProcess) -> None:
    assert user.submit(*DEPLOY, "a").status == 0
    user.service.inject(Fault.status(400, "/onlineEndpoints/pictures/deployments/blue"))

    outcome = user.submit(*DEPLOY, "b", "--update")

    assert outcome.status == 1
    assert "error: deployment 'blue': " in outcome.err
    assert "undeploy" not in outcome.err
