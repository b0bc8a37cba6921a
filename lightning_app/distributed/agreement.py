"""Whether the processes that were started are those that the Trainer counts on."""

from dataclasses import replace

from lightning_app.distributed.consistency import require_consistent
from lightning_app.distributed.launch import ALONE, LIGHTNING, MPI, TORCHRUN, Launch
from lightning_app.errors import LaunchError


def agreed(launch: Launch, num_nodes: int, num_devices: int) -> Launch:
    """The launch, its number of nodes known.

    Args:
        launch: What the launcher has told.
        num_nodes: As the Trainer has it.
        num_devices: Devices on each node, as the Trainer has it.

    Raises:
        LaunchError: They differ, so that the processes would wait for others that don't exist, or train on their own.
    """
    if launch.launcher == LIGHTNING:  # the numbers are the Trainer's own
        return launch
    if launch.launcher == ALONE:
        if num_nodes > 1:
            raise LaunchError(
                f"--trainer.num_nodes is {num_nodes}, and no launcher has started this process as one of several; "
                f"start it on all nodes (python -m submit run --nodes {num_nodes} does), or give --trainer.num_nodes 1"
            )
        return launch
    if launch.nodes is None:
        launch = _counted(launch, num_nodes)
    if launch.nodes != num_nodes:
        raise LaunchError(
            f"{launch.launcher} has started processes on {_counted_nodes(launch)}, and --trainer.num_nodes is "
            f"{num_nodes}; give --trainer.num_nodes {launch.nodes}"
        )
    per_node = launch.processes_per_node
    if per_node != num_devices and not launch.leaves_the_rest_to_lightning:
        more = f", or torchrun --nproc_per_node {num_devices}" if launch.launcher == TORCHRUN else ""
        raise LaunchError(
            f"{launch.launcher} has started {_processes(per_node)} on each node, and --trainer.devices is "
            f"{num_devices}; give --trainer.devices {per_node}{more}"
        )
    return launch


def _counted(launch: Launch, num_nodes: int) -> Launch:
    """A launcher that told the number of its processes alone."""
    if launch.world_size % num_nodes:
        raise LaunchError(
            f"{launch.launcher} has started {launch.world_size} processes, and --trainer.num_nodes is {num_nodes}; "
            "expected the same number on each node: give --trainer.num_nodes as many as there are nodes"
        )
    # an MPI that tells no number of nodes tells no local rank, either
    local_rank = launch.rank % max(1, launch.world_size // num_nodes) if launch.launcher == MPI else launch.local_rank
    counted = replace(launch, nodes=num_nodes, local_rank=local_rank)
    require_consistent(counted)
    return counted


def _counted_nodes(launch: Launch) -> str:
    return f"{launch.nodes} node{'s' * (launch.nodes != 1)}"


def _processes(number: int | None) -> str:
    return f"{number} process{'es' * (number != 1)}"
