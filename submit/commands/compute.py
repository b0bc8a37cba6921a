"""``python -m submit compute``: a cluster, found or created."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from submit.commands.flags import count
from submit.errors import exit_status

TAKES_TRAINING_FLAGS = False
EPILOG = """\
example:
  python -m submit compute --name gpu-cluster --vm_size Standard_NC4as_T4_v3 --max_nodes 4
  python -m submit run --compute gpu-cluster --nodes 2

A cluster of this name that exists is used as it is, and where it differs is told. With no nodes at the least, one that
isn't used costs nothing.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    parser.add_argument("--name", required=True, metavar="NAME", help="what run --compute names it by")
    parser.add_argument("--vm_size", required=True, metavar="SIZE", help="its machines, such as Standard_NC4as_T4_v3")
    parser.add_argument("--max_nodes", type=count, required=True, metavar="N", help="it grows to so many nodes")
    parser.add_argument("--min_nodes", type=_nodes, default=0, metavar="N", help="it always has so many (default: 0)")
    parser.add_argument(
        "--idle_seconds", type=count, default=1800, metavar="N", help="an idle node ends after that (default: 1800)"
    )
    parser.add_argument(
        "--low_priority", action="store_true", help="cheaper nodes, which Azure may take away in the midst of a job"
    )
    parser.add_argument("--workspace", type=Path, metavar="FILE", help="config.json (default: that of this folder)")


def run(options: argparse.Namespace, training: Sequence[str]) -> int:
    """0 when the cluster is ready."""
    return exit_status(lambda: _run(options), "Azure goes on with what it has begun; the same command waits for it")


def _nodes(text: str) -> int:
    return 0 if text == "0" else count(text)


def _run(options: argparse.Namespace) -> int:
    from submit.compute import (
        Cluster,
        check_cluster,
        cluster_differences,
        cluster_errors,
        create_cluster,
        describe_cluster,
        find_cluster,
        wait_for_cluster,
    )
    from submit.progress import Progress
    from submit.workspace import open_workspace

    wanted = Cluster(
        options.name,
        options.vm_size,
        options.max_nodes,
        options.min_nodes,
        options.idle_seconds,
        options.low_priority,
    )
    check_cluster(wanted)
    workspace = open_workspace(options.workspace)
    found = find_cluster(workspace, wanted.name)
    cluster = found or create_cluster(workspace, wanted)
    with Progress() as progress:
        wait_for_cluster(cluster, progress)
    print(f"{cluster.name} {'was there' if found else 'is created'}: {describe_cluster(cluster)}")
    for difference in cluster_differences(cluster, wanted):
        print(difference)
    for error in cluster_errors(cluster):
        print(f"warning: {error}", file=sys.stderr)
    return 0
