"""Clusters: found or created, compared with what was asked for, and waited for.

azureml-core is imported inside the functions, so that a wrong command line is reported without it.
"""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from submit.errors import ServiceError, SubmitError, describe_error
from submit.preflight.settings import check_compute_name
from submit.vm_sizes import check_vm_size, require_size

if TYPE_CHECKING:
    from azureml.core import Workspace
    from azureml.core.compute import AmlCompute

LONGEST_WAIT = 25 * 60.0  # as in azureml-core's own examples
LONGEST_FAILURE = 120.0
_DENIED = re.compile(r"ComputeTargetNotFound|Response Code: 4(?!08|29)")
_RESERVED = ("amlcompute", "local", "containerinstance")  # azureml-core uses these names for other things


@dataclass(frozen=True)
class Cluster:
    """A cluster of up to ``max_nodes`` nodes; nodes idle for ``idle_seconds`` end, down to ``min_nodes``."""

    name: str
    vm_size: str
    max_nodes: int
    min_nodes: int = 0
    idle_seconds: int = 1800
    low_priority: bool = False

    @property
    def priority(self) -> str:
        return "lowpriority" if self.low_priority else "dedicated"


def check_cluster(wanted: Cluster) -> None:
    """Raises SubmitError for options that no cluster can have."""
    findings = [*check_compute_name(wanted.name, "--name"), *check_vm_size(wanted.vm_size)]
    errors = [finding.text for finding in findings if finding.level == "error"]
    if wanted.name.lower() in _RESERVED:
        errors.append(f"--name {wanted.name!r}: the name is reserved by azureml-core; take another one")
    if wanted.min_nodes > wanted.max_nodes:
        errors.append(
            f"--min_nodes {wanted.min_nodes} and --max_nodes {wanted.max_nodes}: expected --min_nodes to be at most "
            "--max_nodes"
        )
    if errors:
        raise SubmitError("; ".join(errors))


def find_cluster(workspace: "Workspace", name: str) -> "AmlCompute | None":
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
    return found


def create_cluster(workspace: "Workspace", wanted: Cluster) -> "AmlCompute":
    """Starts to create a cluster.

    Raises:
        SubmitError: The workspace's region has no virtual machines of this size.
        ServiceError: Azure refuses, for example without quota.
    """
    from azureml.core.compute import AmlCompute, ComputeTarget

    require_size(workspace, wanted.vm_size)
    configuration = AmlCompute.provisioning_configuration(
        vm_size=wanted.vm_size,
        vm_priority=wanted.priority,
        min_nodes=wanted.min_nodes,
        max_nodes=wanted.max_nodes,
        idle_seconds_before_scaledown=wanted.idle_seconds,
    )
    try:
        created: AmlCompute = ComputeTarget.create(workspace, wanted.name, configuration)
    except Exception as error:  # as above
        raise ServiceError(f"creating {wanted.name!r} failed: {describe_error(error)}") from error
    return created


def cluster_differences(found: "AmlCompute", wanted: Cluster) -> list[str]:
    """How a cluster differs from what was asked for, a line per difference."""
    scale = found.scale_settings
    fixed = "it can't be changed; use another --name if it matters"
    scaled = "change it in the portal"
    return [
        f"{name} is {has}, not {asked}; {remedy}"
        for name, has, asked, remedy in (
            ("vm_size", found.vm_size, wanted.vm_size, fixed),
            ("priority", _priority_text(found.vm_priority), _priority_text(wanted.priority), fixed),
            ("max_nodes", scale.maximum_node_count, wanted.max_nodes, scaled),
            ("min_nodes", scale.minimum_node_count, wanted.min_nodes, scaled),
            ("idle_seconds", int(scale.idle_seconds_before_scaledown), wanted.idle_seconds, scaled),
        )
        if str(has).lower() != str(asked).lower()
    ]


def wait_for_cluster(cluster: "AmlCompute", longest: float = LONGEST_WAIT) -> None:
    """Waits until the cluster is ready, with its minimum number of nodes.

    Raises:
        ServiceError: Azure failed to provide it, or takes longer.
    """
    began = responded = time.monotonic()
    delay = 0.5
    if not _is_ready(cluster):
        print(f"Waiting for {cluster.name}: {_state(cluster)}", file=sys.stderr)
    with tqdm(bar_format="{desc}", leave=False, disable=None) as line:  # in a terminal only
        while not _is_ready(cluster):
            waited = time.monotonic() - began
            _require_progress(cluster, waited, longest)
            line.set_description_str(f"{cluster.name}: {_state(cluster)}, {waited:.0f} s")
            time.sleep(delay)
            delay = min(2 * delay, 5.0)
            responded = _refresh(cluster, responded)


def describe_cluster(cluster: "AmlCompute") -> str:
    """For example: Standard_NC4as_T4_v3, 0 to 4 nodes, dedicated."""
    scale = cluster.scale_settings
    nodes = f"{scale.minimum_node_count} to {scale.maximum_node_count} nodes"
    return f"{cluster.vm_size}, {nodes}, {_priority_text(cluster.vm_priority)}"


def cluster_errors(cluster: "AmlCompute") -> Iterator[str]:
    """Errors that Azure reports, such as missing quota for another node."""
    for entry in [*(cluster.provisioning_errors or []), *((cluster.status and cluster.status.errors) or [])]:
        content: Any = entry.get("error", entry)
        yield str(content.get("message") or content)


def _priority_text(priority: str) -> str:
    return "low priority" if priority.lower() == "lowpriority" else priority.lower()


def _is_ready(cluster: "AmlCompute") -> bool:
    status = cluster.status
    if cluster.provisioning_state != "Succeeded" or status is None:
        return False
    nodes = status.current_node_count
    return nodes is None or bool(nodes >= cluster.scale_settings.minimum_node_count)


def _require_progress(cluster: "AmlCompute", waited: float, longest: float) -> None:
    if errors := list(cluster_errors(cluster)):
        raise ServiceError(f"{cluster.name!r} isn't ready: {'; '.join(errors)}")
    if cluster.provisioning_state in ("Failed", "Canceled"):
        raise ServiceError(f"{cluster.name!r} isn't ready: {cluster.provisioning_state}; delete it in the portal")
    if waited > longest:
        raise ServiceError(
            f"{cluster.name!r} isn't ready after {waited / 60:.0f} min: {_state(cluster)}; the same command waits again"
        )


def _state(cluster: "AmlCompute") -> str:
    if cluster.status is None:
        return str(cluster.provisioning_state)
    return f"{cluster.status.current_node_count} of {cluster.scale_settings.minimum_node_count} nodes"


def _refresh(cluster: "AmlCompute", responded: float) -> float:
    """The time of the last response. The service may fail for a while, but not say that there is no such cluster."""
    try:
        cluster.refresh_state()
    except Exception as error:  # as above
        if time.monotonic() - responded < LONGEST_FAILURE and not _DENIED.search(str(error)):
            return responded
        raise ServiceError(f"can't look up {cluster.name!r}: {describe_error(error)}") from error
    return time.monotonic()
