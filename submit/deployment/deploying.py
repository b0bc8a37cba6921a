"""Deploys a model: the endpoint if there is none, the deployment, and then its traffic, which changes last."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from submit.cost import describe_deployment_cost
from submit.deployment.checks import deployment_findings
from submit.deployment.deployment import Deployment, Endpoint, RegisteredModel
from submit.deployment.environment import serving_environment
from submit.deployment.model import find_model, read_model
from submit.deployment.scoring_code import write_scoring_code
from submit.deployment.traffic import new_traffic
from submit.errors import ServiceError, SubmitError
from submit.interface import Workspace
from submit.job import BuiltEnvironment
from submit.preflight.findings import note, report_findings
from submit.prices import Prices
from submit.runs.exported import RUNTIME


@dataclass(frozen=True)
class DeploymentOptions:
    """What a user can choose about a deployment; ``environment`` is None for the one that serving needs."""

    model: str
    endpoint: str
    name: str
    instance_type: str
    instance_count: int
    environment: str | None = None


def describe_deployment(options: DeploymentOptions) -> Deployment:
    """Describes and checks a deployment, without a network.

    Raises:
        SubmitError: There is no such model, or Azure ML would refuse the deployment.
    """
    model = find_model(options.model)
    description = read_model(model) if isinstance(model, Path) else None
    wanted = Deployment(
        options.endpoint,
        options.name,
        model,
        serving_environment(options.environment, description),
        options.instance_type,
        options.instance_count,
    )
    report_findings(deployment_findings(wanted))
    return wanted


def deploy(wanted: Deployment, workspace: Workspace, prices: Prices, share: int | None, may_replace: bool) -> Endpoint:
    """Deploys a model and waits until it answers.

    Args:
        wanted: The deployment.
        workspace: Where it is deployed.
        prices: For the line that says what it costs, before anything is created.
        share: Its traffic in percent; None for what ``new_traffic`` chooses.
        may_replace: Whether a deployment with this name may be changed.

    Raises:
        SubmitError: There is such a deployment, or the shares make no sense.
        PreflightError: The workspace has no such model or environment.
        ServiceError: Azure ML refuses or fails.
    """
    report_findings(workspace.deployment_findings(wanted))
    wanted = _with_versions(wanted, workspace)
    endpoint = workspace.find_endpoint(wanted.endpoint)
    now = {} if endpoint is None else endpoint.traffic
    if wanted.name in now and not may_replace:
        raise SubmitError(
            f"--deployment {wanted.name!r}: the endpoint {wanted.endpoint!r} has one of this name; give --update to "
            "replace its model and machines, or another name beside it"
        )
    traffic = new_traffic(now, wanted.name, share)  # before anything is created
    report_findings([note(describe_deployment_cost(wanted, workspace.location, prices))])
    if endpoint is None:
        _say(f"Creating the endpoint {wanted.endpoint!r}.")
        endpoint = workspace.create_endpoint(wanted.endpoint)
    with TemporaryDirectory() as code:
        write_scoring_code(Path(code))
        _say(f"Deploying {wanted.name!r} on {wanted.instance_count} {wanted.instance_type}.")
        try:
            workspace.send_deployment(wanted, Path(code))
        except ServiceError as error:
            if wanted.name in now:
                raise  # the deployment that was to be replaced
            what = f"--endpoint {wanted.endpoint}" + (f" --deployment {wanted.name}" if now else "")
            raise ServiceError(
                f"{error}; what was created stays, and may cost money; python -m submit undeploy {what} deletes it"
            ) from error
    if traffic != {name: now.get(name, 0) for name in traffic}:
        endpoint = workspace.set_traffic(wanted.endpoint, traffic)
    return replace(endpoint, traffic={**endpoint.traffic, **traffic})


def _with_versions(wanted: Deployment, workspace: Workspace) -> Deployment:
    """With the versions that ``register --export`` has noted of a model of the workspace, if they are needed."""
    if not isinstance(wanted.model, RegisteredModel) or not isinstance(wanted.environment, BuiltEnvironment):
        return wanted
    properties = workspace.model_properties(wanted.model)
    versions = {name: properties[name] for name in RUNTIME if name in properties}
    return replace(wanted, environment=serving_environment(None, {"versions": versions} if versions else None))


def _say(line: str) -> None:
    """A line about what takes minutes."""
    print(line, file=sys.stderr, flush=True)
