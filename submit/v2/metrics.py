"""The metrics of a run, as the workspace's MLflow interface has them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_SCOPE = "https://ml.azure.com/.default"
_MOST = 2  # values that say whether a metric has one


def last_metrics(client: "MLClient", run_id: str) -> dict[str, float]:
    """The last value of each metric; empty for a run that MLflow doesn't know yet."""
    run = _request(client, "runs/get", {"run_id": run_id}).get("run") or {}
    metrics = run.get("data", {}).get("metrics") or []
    return {each["key"]: float(each["value"]) for each in sorted(metrics, key=lambda each: str(each["key"]))}


def is_single(client: "MLClient", run_id: str, name: str) -> bool:
    """Whether a metric was logged once."""
    given = {"run_id": run_id, "metric_key": name, "max_results": str(_MOST)}
    return len(_request(client, "metrics/get-history", given).get("metrics") or []) == 1


def _request(client: "MLClient", path: str, given: Mapping[str, str]) -> dict[str, Any]:
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
    from azure.core.pipeline.transport import RequestsTransport
    from azure.core.rest import HttpRequest

    address = _address(client)
    policies = [RetryPolicy(), BearerTokenCredentialPolicy(client._credential, _SCOPE)]
    connection: Any = PipelineClient(address, policies=policies, transport=RequestsTransport())
    with connection:
        response = connection.send_request(HttpRequest("GET", f"{address}/{path}", params=dict(given)))
        if response.status_code == 404:
            return {}
        response.raise_for_status()
        content: dict[str, Any] = response.json()
        return content


def _address(client: "MLClient") -> str:
    """The address of the MLflow interface, which the workspace has as ``azureml://HOST/mlflow/v1.0/...``."""
    uri = str(client.workspaces.get(client.workspace_name).mlflow_tracking_uri)
    return f"{uri.replace('azureml://', 'https://').replace('/mlflow/v1.0/', '/mlflow/v2.0/')}/api/2.0/mlflow"
