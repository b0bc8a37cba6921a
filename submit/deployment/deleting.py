"""Deletes an endpoint with all its deployments, or one deployment that gets no requests."""

from collections.abc import Mapping

from submit.deployment.deployment import Endpoint
from submit.deployment.traffic import ALL, new_traffic
from submit.errors import SubmitError
from submit.interface import Workspace


def find_deletable(workspace: Workspace, name: str, deployment: str | None) -> Endpoint:
    """The endpoint that may be deleted, or of which the deployment may be.

    Raises:
        SubmitError: The workspace has no such endpoint, or the endpoint no such deployment, or that one gets requests.
        ServiceError: Azure ML doesn't respond.
    """
    endpoint = workspace.find_endpoint(name)
    if endpoint is None:
        known = ", ".join(sorted(workspace.endpoint_names())) or "none"
        raise SubmitError(f"--endpoint {name!r}: the workspace has no such endpoint; it has {known}")
    if deployment is not None:
        require_unused(endpoint, deployment)
    return endpoint


def delete(workspace: Workspace, endpoint: str, deployment: str | None) -> None:
    """Deletes the deployment, or without one the endpoint with all its deployments, and waits until it is gone.

    Raises:
        ServiceError: Azure ML refuses or fails.
    """
    if deployment is None:
        workspace.delete_endpoint(endpoint)
    else:
        workspace.delete_deployment(endpoint, deployment)


def require_unused(endpoint: Endpoint, name: str) -> None:
    """Raises SubmitError if a deployment gets requests, with the command that gives them to the others."""
    given, shares = f"--deployment {name!r}", endpoint.traffic
    if name not in shares:
        known = ", ".join(sorted(shares)) or "none"
        raise SubmitError(f"{given}: the endpoint {endpoint.name!r} has no such deployment; it has {known}")
    if shares[name] == 0:
        return
    if len(shares) == 1:
        raise SubmitError(
            f"{given}: is the only one of {endpoint.name!r} and gets its requests; without --deployment, the endpoint "
            "is deleted with it"
        )
    moved = " ".join(f"{other}={share}" for other, share in sorted(_without(shares, name).items()))
    raise SubmitError(
        f"{given}: gets {shares[name]} % of the requests of {endpoint.name!r}; give them to another one first: "
        f'az ml online-endpoint update --name {endpoint.name} --traffic "{moved}"'
    )


def _without(shares: Mapping[str, int], name: str) -> dict[str, int]:
    """The traffic if a deployment gets none; where no other has any, the first one gets all."""
    if any(share for other, share in shares.items() if other != name):
        return new_traffic(shares, name, 0)
    return {name: 0, min(other for other in shares if other != name): ALL}
