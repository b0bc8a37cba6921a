"""``python -m submit compute``: finds or creates a cluster."""

import argparse
import sys
from collections.abc import Sequence

from submit.commands.flags import add_workspace, count, open_workspace
from submit.errors import exit_status

TAKES_TRAINING_FLAGS = False
EPILOG = """\
example:
  python -m submit compute --name gpu-cluster --vm_size Standard_NC4as_T4_v3 \\
    --max_nodes 4
  python -m submit run --compute gpu-cluster --nodes 2

An existing cluster of this name is used as it is, and differences are printed.
With a minimum of 0 nodes, a cluster that isn't used costs nothing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--name", required=True, metavar="NAME", help="name of the cluster, for run --compute")
    parser.add_argument("--vm_size", required=True, metavar="SIZE", help="VM size, such as Standard_NC4as_T4_v3")
    parser.add_argument("--max_nodes", type=count, required=True, metavar="N", help="maximum number of nodes")
    parser.add_argument("--min_nodes", type=_nodes, default=0, metavar="N", help="minimum number of nodes (default: 0)")
    parser.add_argument(
        "--idle_seconds",
        type=count,
        default=1800,
        metavar="N",
        help="an idle node ends after so many seconds (default: 1800)",
    )
    parser.add_argument(
        "--low_priority", action="store_true", help="cheaper nodes, which Azure may take away during a job"
    )
    add_workspace(parser)


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """Returns 0 when the cluster is ready."""
    return exit_status(lambda: _run(options), "Azure continues; the same command waits for it")


def _nodes(text: str) -> int:
    return 0 if text == "0" else count(text)


def _run(options: argparse.Namespace) -> int:
    from submit.cluster import Cluster, check_cluster, cluster_differences, describe_cluster, wait_for_cluster

    wanted = Cluster(
        options.name,
        options.vm_size,
        options.max_nodes,
        options.min_nodes,
        options.idle_seconds,
        options.low_priority,
    )
    check_cluster(wanted)
    workspace = open_workspace(options)
    found = workspace.find_cluster(wanted.name)
    cluster = found or workspace.create_cluster(wanted)
    wait_for_cluster(cluster)
    print(f"{cluster.name} {'exists' if found else 'is created'}: {describe_cluster(cluster)}")
    for difference in cluster_differences(cluster, wanted):
        print(difference)
    for error in cluster.errors:
        print(f"warning: {error}", file=sys.stderr)
    return 0
