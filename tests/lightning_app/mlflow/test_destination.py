"""Where the metrics of a job go, from its variables."""

import sys
from collections.abc import Mapping

import pytest

from lightning_app.azureml.destination import CHOICE, find_destination
from lightning_app.azureml.job import REQUIRED
from lightning_app.azureml.mlflow.credentials import expiry
from lightning_app.azureml.mlflow.tracking import parse_tracking
from lightning_app.errors import UsageError
from submit.emulator.workspace import SCOPE

V1 = dict.fromkeys(REQUIRED, "x") | {"AZUREML_RUN_ID": "run"}
AZURE = f"azureml://westeurope.api.azureml.ms/mlflow/v1.0{SCOPE}"
V2 = V1 | {"MLFLOW_TRACKING_URI": AZURE, "MLFLOW_RUN_ID": "run", "MLFLOW_TRACKING_TOKEN": "t"}
CORE = "Metrics go to run run of Azure ML, by azureml-core."
BY_MLFLOW = "Metrics go to run run of Azure ML, by its MLflow interface."


@pytest.mark.parametrize(
    ("environment", "has_core", "expected"),
    [
        ({}, True, None),
        (V1, True, CORE),
        (V2, True, CORE),
        (V2, False, BY_MLFLOW),
        (V2 | {CHOICE: "mlflow"}, True, BY_MLFLOW),
        (V2 | {CHOICE: "azureml-core"}, True, CORE),
        ({"MLFLOW_TRACKING_URI": AZURE, "MLFLOW_RUN_ID": "run", "MLFLOW_TRACKING_TOKEN": "t"}, True, BY_MLFLOW),
        (
            {"MLFLOW_TRACKING_URI": "http://me:secret@server:5000/", "MLFLOW_RUN_ID": "run"},
            True,
            "Metrics go to run run at the MLflow server http://server:5000.",
        ),
        (
            {"MLFLOW_TRACKING_URI": "https://server/sub/"},
            False,
            "Metrics go to a run of this folder's own at the MLflow server https://server/sub.",
        ),
    ],
)
def test_the_destination_follows_from_the_variables(
    monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], has_core: bool, expected: str | None
) -> None:
    if not has_core:
        monkeypatch.setitem(sys.modules, "azureml", None)

    found = find_destination(environment)

    assert (found and found.describe()) == expected
    assert found is None or found.obstacle is None


@pytest.mark.parametrize("environment", [{}, V1, V2])
def test_a_choice_that_means_nothing_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"^LIGHTNING_APP_METRICS is 'core'; expected 'azureml-core' or 'mlflow'; "):
        find_destination(environment | {CHOICE: "core"})


@pytest.mark.parametrize(
    ("environment", "obstacle"),
    [
        (V1, "azureml-core isn't installed; install 'lightning-azureml[v1]'"),
        (
            {"MLFLOW_TRACKING_URI": "sqlite:///a.db"},
            "MLFLOW_TRACKING_URI sqlite:///a.db: expected http://, ",
        ),
        ({"MLFLOW_TRACKING_URI": "databricks"}, "MLFLOW_TRACKING_URI databricks: expected http://, "),
        ({"MLFLOW_TRACKING_URI": "azureml://host/mlflow/v1.0"}, "expected http://, https:// or azureml://"),
        ({"MLFLOW_TRACKING_URI": AZURE}, "neither AZUREML_RUN_TOKEN nor MLFLOW_TRACKING_TOKEN is set"),
    ],
)
def test_what_prevents_delivery_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str], obstacle: str
) -> None:
    monkeypatch.setitem(sys.modules, "azureml", None)

    found = find_destination(environment)

    assert found is not None
    assert found.obstacle is not None
    assert obstacle in found.obstacle
    assert "\n" not in found.obstacle


def test_the_interface_of_a_workspace_is_that_of_mlflow_2() -> None:
    found = parse_tracking(f"{AZURE}?")

    assert found is not None
    assert found.url == f"https://westeurope.api.azureml.ms/mlflow/v2.0{SCOPE}"
    assert (found.host, found.scope) == ("https://westeurope.api.azureml.ms", SCOPE)


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "a.e30.c", "a.WzFd.c"])
def test_a_token_without_an_expiry_is_used_as_it_is(token: str) -> None:
    assert expiry(token) is None
