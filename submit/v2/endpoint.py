"""Online endpoints of azure-ai-ml: found, created, given deployments with their traffic, and deleted."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.deployment.deployment import Deployment, Endpoint, RegisteredModel
from submit.errors import is_not_found
from submit.preflight.findings import Finding, error
from submit.runs.retry import service_errors
from submit.v2.deployment import deployment_to_send, endpoint_to_send
from submit.v2.workspace_checks import check_environment

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_CHECKPOINT = ".ckpt"


def find_endpoint(client: "MLClient", name: str) -> Endpoint | None:
    """The endpoint with this name, and the traffic of all its deployments; None if there is none.

    Raises:
        ServiceError: Azure ML doesn't respond.
    """
    with service_errors(f"--endpoint {name!r}"):
        try:
            found = client.online_endpoints.get(name)
        except Exception as reason:  # azure-ai-ml raises errors of several libraries
            if is_not_found(reason):
                return None
            raise
        endpoint = _endpoint(found)
        without = {str(deployment.name): 0 for deployment in client.online_deployments.list(name)}
        return replace(endpoint, traffic={**without, **endpoint.traffic})


def create_endpoint(client: "MLClient", name: str) -> Endpoint:
    """Creates an endpoint, whose users need a key, and waits until it is there.

    Raises:
        ServiceError: Azure ML refuses or fails.
    """
    with service_errors(f"endpoint {name!r}"):
        return _endpoint(_finished(lambda: client.online_endpoints.begin_create_or_update(endpoint_to_send(name))))


def send_deployment(client: "MLClient", wanted: Deployment, code: Path) -> None:
    """Creates or changes a deployment, and waits until it answers.

    Raises:
        ServiceError: Azure ML refuses or fails, such as when the scoring script can't load the model.
    """
    with service_errors(f"deployment {wanted.name!r}"):
        deployment = deployment_to_send(wanted, code)
        _finished(lambda: client.online_deployments.begin_create_or_update(deployment))


def set_traffic(client: "MLClient", name: str, traffic: Mapping[str, int]) -> Endpoint:
    """Sets the share of the requests of each deployment.

    Raises:
        ServiceError: Azure ML refuses or fails.
    """
    with service_errors(f"endpoint {name!r}"):
        endpoint = client.online_endpoints.get(name)
        endpoint.traffic = dict(traffic)
        return _endpoint(_finished(lambda: client.online_endpoints.begin_create_or_update(endpoint)))


def endpoint_names(client: "MLClient") -> list[str]:
    """The names of all endpoints of the workspace.

    Raises:
        ServiceError: Azure ML doesn't respond.
    """
    with service_errors("online endpoints"):
        return [str(found.name) for found in client.online_endpoints.list()]


def delete_endpoint(client: "MLClient", name: str) -> None:
    """Deletes an endpoint with all its deployments, and waits until it is gone.

    Raises:
        ServiceError: Azure ML refuses or fails.
    """
    with service_errors(f"endpoint {name!r}"):
        _finished(lambda: client.online_endpoints.begin_delete(name))


def delete_deployment(client: "MLClient", endpoint: str, name: str) -> None:
    """Deletes a deployment, and waits until it is gone.

    Raises:
        ServiceError: Azure ML refuses, as it does if the deployment has traffic, or fails.
    """
    with service_errors(f"deployment {name!r}"):
        _finished(lambda: client.online_deployments.begin_delete(name, endpoint))


def deployment_findings(client: "MLClient", wanted: Deployment) -> Iterator[Finding]:
    """What the workspace knows that speaks against a deployment: its model and its environment."""
    from submit.job import CuratedEnvironment

    if isinstance(wanted.model, RegisteredModel):
        yield from _about_model(client, wanted.model)
    if isinstance(wanted.environment, CuratedEnvironment):
        yield from check_environment(client, wanted.environment)


def model_properties(client: "MLClient", model: RegisteredModel) -> dict[str, str]:
    """The properties of a registered model, such as those that ``register --export`` has given it.

    Raises:
        ServiceError: Azure ML doesn't respond, or has no such model.
    """
    with service_errors(f"azureml:{model.name}:{model.version}"):
        return {**(client.models.get(model.name, version=model.version).properties or {})}


def _about_model(client: "MLClient", model: RegisteredModel) -> Iterator[Finding]:
    given = f"azureml:{model.name}:{model.version}"
    with service_errors(given):
        try:
            found = client.models.get(model.name, version=model.version)
        except Exception as reason:  # as above
            if not is_not_found(reason):
                raise
            yield error(f"{given}: the workspace has no such version of a model; see az ml model list")
            return
    if str(found.path).endswith(_CHECKPOINT):
        yield error(
            f"{given}: is a checkpoint, for which an endpoint would need all of the training program; export the run, "
            "and deploy that folder"
        )


def _finished(begin: Callable[[], Any]) -> Any:
    """The result of an operation that takes minutes; azure-ai-ml prints a dot every few seconds meanwhile."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return begin().result()


def _endpoint(found: Any) -> Endpoint:
    traffic = {name: int(share) for name, share in (found.traffic or {}).items()}
    return Endpoint(str(found.name), str(found.scoring_uri), traffic)
