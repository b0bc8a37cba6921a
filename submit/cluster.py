"""Clusters: compared with what was asked for, and waited for."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tqdm import tqdm

from submit.errors import ServiceError, SubmitError, describe_error
from submit.preflight.settings import check_compute_name
from submit.vm_sizes import check_vm_size

LONGEST_WAIT = 25 * 60.0  # as in azureml-core's own examples
LONGEST_FAILURE = 120.0
_RESERVED = ("amlcompute", "local", "containerinstance", "serverless")  # the SDKs use these names for other things


@dataclass(frozen=True)
class Cluster:
    """A cluster of up to ``max_nodes`` nodes; nodes idle for ``idle_seconds`` end, down to ``min_nodes``."""

    name: str
    vm_size: str
    max_nodes: int
    min_nodes: int = 0
    idle_seconds: int = 1800
    low_priority: bool = False


class FoundCluster(Protocol):
    """A cluster of the workspace, as it was when it was last looked up.

    Attributes:
        nodes: The nodes at present; None if the service doesn't say.
        is_ready: Whether it is provisioned, with its minimum number of nodes.
        errors: What Azure reports, such as missing quota for another node.
    """

    name: str
    vm_size: str
    low_priority: bool
    min_nodes: int
    max_nodes: int
    idle_seconds: int
    provisioning_state: str
    nodes: int | None
    is_ready: bool
    errors: Sequence[str]

    def refresh(self) -> None:
        """Looks the cluster up again.

        Raises:
            ServiceError: The service says that there is no such cluster, or refuses the request.
            Exception: It doesn't respond.
        """


def check_cluster(wanted: Cluster) -> None:
    """Raises SubmitError for options that no cluster can have."""
    findings = [*check_compute_name(wanted.name, "--name"), *check_vm_size(wanted.vm_size)]
    errors = [finding.text for finding in findings if finding.level == "error"]
    if wanted.name.lower() in _RESERVED:
        errors.append(f"--name {wanted.name!r}: the name is reserved by Azure ML; take another one")
    if wanted.min_nodes > wanted.max_nodes:
        errors.append(
            f"--min_nodes {wanted.min_nodes} and --max_nodes {wanted.max_nodes}: expected --min_nodes to be at most "
            "--max_nodes"
        )
    if errors:
        raise SubmitError("; ".join(errors))


def cluster_differences(found: FoundCluster, wanted: Cluster) -> list[str]:
    """How a cluster differs from what was asked for, a line per difference."""
    fixed = "it can't be changed; use another --name if it matters"
    scaled = "change it in the portal"
    return [
        f"{name} is {has}, not {asked}; {remedy}"
        for name, has, asked, remedy in (
            ("vm_size", found.vm_size, wanted.vm_size, fixed),
            ("priority", _priority(found.low_priority), _priority(wanted.low_priority), fixed),
            ("max_nodes", found.max_nodes, wanted.max_nodes, scaled),
            ("min_nodes", found.min_nodes, wanted.min_nodes, scaled),
            ("idle_seconds", found.idle_seconds, wanted.idle_seconds, scaled),
        )
        if str(has).lower() != str(asked).lower()
    ]


def wait_for_cluster(cluster: FoundCluster, longest: float = LONGEST_WAIT) -> None:
    """Waits until the cluster is ready, with its minimum number of nodes.

    Raises:
        ServiceError: Azure failed to provide it, or takes longer.
    """
    began = responded = time.monotonic()
    delay = 0.5
    if not cluster.is_ready:
        print(f"Waiting for {cluster.name}: {_state(cluster)}", file=sys.stderr)
    with tqdm(bar_format="{desc}", leave=False, disable=None) as line:  # in a terminal only
        while not cluster.is_ready:
            waited = time.monotonic() - began
            _require_progress(cluster, waited, longest)
            line.set_description_str(f"{cluster.name}: {_state(cluster)}, {waited:.0f} s")
            time.sleep(delay)
            delay = min(2 * delay, 5.0)
            responded = _refresh(cluster, responded)


def describe_cluster(cluster: FoundCluster) -> str:
    """For example: Standard_NC4as_T4_v3, 0 to 4 nodes, dedicated."""
    nodes = f"{cluster.min_nodes} to {cluster.max_nodes} nodes"
    return f"{cluster.vm_size}, {nodes}, {_priority(cluster.low_priority)}"


def _priority(low: bool) -> str:
    return "low priority" if low else "dedicated"


def _require_progress(cluster: FoundCluster, waited: float, longest: float) -> None:
    if cluster.errors:
        raise ServiceError(f"{cluster.name!r} isn't ready: {'; '.join(cluster.errors)}")
    if cluster.provisioning_state in ("Failed", "Canceled"):
        raise ServiceError(f"{cluster.name!r} isn't ready: {cluster.provisioning_state}; delete it in the portal")
    if waited > longest:
        raise ServiceError(
            f"{cluster.name!r} isn't ready after {waited / 60:.0f} min: {_state(cluster)}; the same command waits again"
        )


def _state(cluster: FoundCluster) -> str:
    if cluster.nodes is None:
        return cluster.provisioning_state
    return f"{cluster.nodes} of {cluster.min_nodes} nodes"


def _refresh(cluster: FoundCluster, responded: float) -> float:
    """The time of the last response. The service may fail for a while, but not say that there is no such cluster."""
    try:
        cluster.refresh()
    except ServiceError:
        raise
    except Exception as error:  # as above
        if time.monotonic() - responded < LONGEST_FAILURE:
            return responded
        raise ServiceError(f"can't look up {cluster.name!r}: {describe_error(error)}") from error
    return time.monotonic()
