"""Clusters of azure-ai-ml: found, created and looked up again."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lightning_app.azureml.run_artifacts import is_transient
from submit.cluster import Cluster
from submit.errors import ServiceError, SubmitError, describe_error
from submit.v2.enumerations import plain
from submit.vm_sizes import require_size

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import AmlCompute

CLUSTER = "amlcompute"


class ClientCluster:
    """A ``submit.cluster.FoundCluster``."""

    nodes: int | None = None  # azure-ai-ml doesn't say

    def __init__(self, client: "MLClient", compute: "AmlCompute") -> None:
        self._client = client
        self._read(compute)

    def refresh(self) -> None:
        try:
            self._read(self._client.compute.get(self.name))
        except Exception as error:  # azure-ai-ml raises errors of several libraries
            if is_transient(error):
                raise
            raise ServiceError(f"can't look up {self.name!r}: {describe_error(error)}") from error

    def _read(self, compute: Any) -> None:
        self.name: str = compute.name
        self.location = str(compute.location)
        self.vm_size: str = compute.size
        self.low_priority = plain(compute.tier).lower().replace("_", "") == "lowpriority"
        self.min_nodes = int(compute.min_instances or 0)
        self.max_nodes = int(compute.max_instances or 0)
        self.idle_seconds = int(compute.idle_time_before_scale_down or 0)
        self.provisioning_state = plain(compute.provisioning_state)
        self.is_ready = self.provisioning_state == "Succeeded"
        self.errors: Sequence[str] = [*errors_of(compute)]


def errors_of(compute: Any) -> Iterator[str]:
    """The errors that Azure reports of a compute."""
    errors = compute.provisioning_errors or []
    for entry in [errors] if isinstance(errors, str | dict) else errors:
        content: Any = entry.get("error", entry) if isinstance(entry, dict) else getattr(entry, "error", entry)
        message = content.get("message") if isinstance(content, dict) else getattr(content, "message", None)
        yield " ".join(str(message or content).split())


def find_cluster(client: "MLClient", name: str) -> ClientCluster | None:
    """The cluster with this name; None if there is none.

    Raises:
        SubmitError: Another kind of compute has this name.
        ServiceError: The service doesn't respond.
    """
    from azure.core.exceptions import ResourceNotFoundError

    try:
        found = client.compute.get(name)
    except ResourceNotFoundError:
        return None
    except Exception as error:  # azure-ai-ml raises errors of several libraries
        raise ServiceError(f"can't look up the cluster {name!r}: {describe_error(error)}") from error
    if plain(found.type).lower() != CLUSTER:
        raise SubmitError(
            f"--name {name!r}: the workspace has a compute of this name, of type {plain(found.type)}; take another name"
        )
    return ClientCluster(client, found)


def create_cluster(client: "MLClient", location: str, wanted: Cluster) -> ClientCluster:
    """Starts to create a cluster.

    Raises:
        SubmitError: The workspace's region has no virtual machines of this size.
        ServiceError: Azure refuses, for example without quota.
    """
    from azure.ai.ml.entities import AmlCompute

    require_size(location, supported_sizes(client), wanted.vm_size)
    compute = AmlCompute(
        name=wanted.name,
        size=wanted.vm_size,
        tier="low_priority" if wanted.low_priority else "dedicated",
        min_instances=wanted.min_nodes,
        max_instances=wanted.max_nodes,
        idle_time_before_scale_down=wanted.idle_seconds,
    )
    try:
        client.compute.begin_create_or_update(compute)
        return ClientCluster(client, client.compute.get(wanted.name))
    except Exception as error:  # as above
        raise ServiceError(f"creating {wanted.name!r} failed: {describe_error(error)}") from error


def supported_sizes(client: "MLClient") -> Mapping[str, int] | None:
    """The number of GPUs by size, for the sizes of the workspace's region.

    None without the rights to the subscription that the list needs, and that creating or using a cluster doesn't need.
    """
    try:
        return {str(size.name): int(size.gpus or 0) for size in client.compute.list_sizes()}
    except Exception:  # as above
        return None
