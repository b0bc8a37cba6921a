"""Clusters of azureml-core: found, created and looked up again."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from submit.cluster import Cluster
from submit.errors import ServiceError, SubmitError, describe_error
from submit.vm_sizes import require_size

if TYPE_CHECKING:
    from azureml.core import Workspace
    from azureml.core.compute import AmlCompute

_DENIED = re.compile(r"ComputeTargetNotFound|Response Code: 4(?!08|29)")


class AmlCluster:
    """A ``submit.cluster.FoundCluster``."""

    def __init__(self, compute: "AmlCompute") -> None:
        self._compute = compute
        self._read()

    def refresh(self) -> None:
        try:
            self._compute.refresh_state()
        except Exception as error:  # azureml-core raises errors of several libraries
            if _DENIED.search(str(error)):
                raise ServiceError(f"can't look up {self.name!r}: {describe_error(error)}") from error
            raise
        self._read()

    def _read(self) -> None:
        compute, scale = self._compute, self._compute.scale_settings
        self.name: str = compute.name
        self.vm_size: str = compute.vm_size
        self.low_priority = is_low_priority(compute)
        self.min_nodes: int = scale.minimum_node_count
        self.max_nodes: int = scale.maximum_node_count
        self.idle_seconds = int(scale.idle_seconds_before_scaledown)
        self.provisioning_state = str(compute.provisioning_state)
        self.nodes: int | None = compute.status.current_node_count if compute.status else None
        provided = self.provisioning_state == "Succeeded" and compute.status is not None
        self.is_ready = provided and (self.nodes is None or self.nodes >= self.min_nodes)
        self.errors: Sequence[str] = [*errors_of(compute)]


def is_low_priority(compute: Any) -> bool:
    """Whether Azure may take the nodes of a compute of the workspace away."""
    return str(getattr(compute, "vm_priority", "")).lower() == "lowpriority"


def errors_of(compute: Any) -> Iterator[str]:
    """The errors that Azure reports of a compute."""
    for entry in [*(compute.provisioning_errors or []), *((compute.status and compute.status.errors) or [])]:
        content: Any = entry.get("error", entry)
        yield " ".join(str(content.get("message") or content).split())


def find_cluster(workspace: "Workspace", name: str) -> AmlCluster | None:
    """The cluster with this name; None if there is none.

    Raises:
        SubmitError: Another kind of compute has this name.
        ServiceError: The service doesn't respond.
    """
    from azureml.core.compute import AmlCompute, ComputeTarget

    try:
        found = ComputeTarget(workspace, name)
    except Exception as error:  # azureml-core raises errors of several libraries
        if "ComputeTargetNotFound" in str(error):
            return None
        raise ServiceError(f"can't look up the cluster {name!r}: {describe_error(error)}") from error
    if not isinstance(found, AmlCompute):  # None: a kind that azureml-core doesn't know
        kind = getattr(found, "type", "another kind")
        raise SubmitError(
            f"--name {name!r}: the workspace has a compute of this name, of type {kind}; take another name"
        )
    return AmlCluster(found)


def create_cluster(workspace: "Workspace", wanted: Cluster) -> AmlCluster:
    """Starts to create a cluster.

    Raises:
        SubmitError: The workspace's region has no virtual machines of this size.
        ServiceError: Azure refuses, for example without quota.
    """
    from azureml.core.compute import AmlCompute, ComputeTarget

    require_size(workspace.location, supported_sizes(workspace), wanted.vm_size)
    configuration = AmlCompute.provisioning_configuration(
        vm_size=wanted.vm_size,
        vm_priority="lowpriority" if wanted.low_priority else "dedicated",
        min_nodes=wanted.min_nodes,
        max_nodes=wanted.max_nodes,
        idle_seconds_before_scaledown=wanted.idle_seconds,
    )
    try:
        created: AmlCompute = ComputeTarget.create(workspace, wanted.name, configuration)
    except Exception as error:  # as above
        raise ServiceError(f"creating {wanted.name!r} failed: {describe_error(error)}") from error
    return AmlCluster(created)


def supported_sizes(workspace: "Workspace") -> Mapping[str, int] | None:
    """The number of GPUs by size, for the sizes of the workspace's region.

    None without the rights to the subscription that the list needs, and that creating or using a cluster doesn't need.
    """
    from azureml.core.compute import AmlCompute

    try:
        return {size["name"]: int(size.get("gpus") or 0) for size in AmlCompute.supported_vmsizes(workspace)}
    except Exception:  # azureml-core raises errors of several libraries
        return None
