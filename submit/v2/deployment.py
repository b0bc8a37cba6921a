"""Endpoints and deployments for azure-ai-ml, and the YAML that ``az ml online-endpoint create --file`` takes."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from submit.deployment.deployment import ENTRY_SCRIPT, Deployment, RegisteredModel
from submit.output import to_yaml
from submit.v2.job import environment, without_empty, without_made_up_names

if TYPE_CHECKING:
    from azure.ai.ml.entities import ManagedOnlineDeployment, ManagedOnlineEndpoint, Model

_SCHEMAS = "https://azuremlschemas.azureedge.net/latest/"
ENDPOINT_SCHEMA = f"{_SCHEMAS}managedOnlineEndpoint.schema.json"
DEPLOYMENT_SCHEMA = f"{_SCHEMAS}managedOnlineDeployment.schema.json"
AUTH_MODE = "key"
_TYPE = "custom_model"
_ENDPOINT_ORDER = ("$schema", "name", "auth_mode")
_ORDER = (
    *("$schema", "name", "endpoint_name", "model", "code_configuration", "environment"),
    *("instance_type", "instance_count"),
)


def endpoint_to_send(name: str) -> "ManagedOnlineEndpoint":
    from azure.ai.ml.entities import ManagedOnlineEndpoint

    return ManagedOnlineEndpoint(name=name, auth_mode=AUTH_MODE)


def deployment_to_send(wanted: Deployment, code: Path) -> "ManagedOnlineDeployment":
    """The deployment as it is sent; ``code`` is the folder of the scoring code."""
    from azure.ai.ml.entities import CodeConfiguration, ManagedOnlineDeployment

    return ManagedOnlineDeployment(
        name=wanted.name,
        endpoint_name=wanted.endpoint,
        model=_model(wanted.model),
        code_configuration=CodeConfiguration(code=str(code), scoring_script=ENTRY_SCRIPT),
        environment=environment(wanted.environment),
        instance_type=wanted.instance_type,
        instance_count=wanted.instance_count,
    )


def endpoint_yaml(name: str) -> str:
    """The endpoint as a file for ``az ml online-endpoint create --file``."""
    content = _in_order(_plain(endpoint_to_send(name)), _ENDPOINT_ORDER)
    return to_yaml({"$schema": ENDPOINT_SCHEMA} | content)


def deployment_yaml(wanted: Deployment, code: Path) -> str:
    """The deployment as a file for ``az ml online-deployment create --file``; the path of the model is whole."""
    content = without_empty(without_made_up_names(_plain(deployment_to_send(wanted, code))))
    content["code_configuration"] = {"code": str(code), "scoring_script": ENTRY_SCRIPT}
    if isinstance(wanted.model, Path):
        content["model"] = {"path": str(wanted.model.resolve()), "type": _TYPE}
    return to_yaml(_in_order({"$schema": DEPLOYMENT_SCHEMA} | content, _ORDER))


def _model(given: Path | RegisteredModel) -> "Model | str":
    from azure.ai.ml.entities import Model

    if isinstance(given, RegisteredModel):
        return f"azureml:{given.name}:{given.version}"
    return Model(path=os.fspath(given.resolve()), type=_TYPE)


def _plain(entity: Any) -> dict[str, Any]:
    """An entity in the form of its schema, in plain types."""
    content: dict[str, Any] = json.loads(json.dumps(entity._to_dict()))
    return content


def _in_order(content: dict[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    return {name: content[name] for name in order if name in content}
