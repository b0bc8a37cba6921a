"""Requests to the workspace's MLflow interface, which needs no client of MLflow."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_SCOPE = "https://ml.azure.com/.default"


def get(client: "MLClient", path: str, given: Mapping[str, str]) -> dict[str, Any] | None:
    """The response to a question; None if there is no such thing."""
    return _request(client, "GET", path, {"params": dict(given)})


def post(client: "MLClient", path: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
    """As ``get``, for a question with a body."""
    return _request(client, "POST", path, {"json": dict(content)})


def _request(client: "MLClient", method: str, path: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
    from azure.core.pipeline.transport import RequestsTransport
    from azure.core.rest import HttpRequest

    address = _address(client)
    policies = [RetryPolicy(), BearerTokenCredentialPolicy(client._credential, _SCOPE)]
    connection: Any = PipelineClient(address, policies=policies, transport=RequestsTransport())
    with connection:
        response = connection.send_request(HttpRequest(method, f"{address}/{path}", **given))
        if response.status_code == 404:
            return None
        response.raise_for_status()
        content: dict[str, Any] = response.json()
        return content


def _address(client: "MLClient") -> str:
    """The address of the interface, which the workspace has as ``azureml://HOST/mlflow/v1.0/...``."""
    uri = str(client.workspaces.get(client.workspace_name).mlflow_tracking_uri)
    return f"{uri.replace('azureml://', 'https://').replace('/mlflow/v1.0/', '/mlflow/v2.0/')}/api/2.0/mlflow"
