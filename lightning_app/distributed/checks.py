"""Launches that would hang, or would train a separate network in each process, are refused."""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import replace

from lightning_app.distributed.launch import (
    ALONE,
    BATCH_MASTER,
    GLOO_INTERFACES,
    HYDRA,
    LIGHTNING,
    LOCAL_NAMES,
    MASTER_ADDRESS,
    MASTER_PORT,
    MPI,
    NODE_COUNT,
    OPEN_MPI,
    SLURM_TASKS,
    TORCHRUN,
    Launch,
    read_number,
)
from lightning_app.errors import LaunchError


def require_consistent(launch: Launch) -> None:
    """Raises LaunchError unless the numbers of a launch can be true together."""
    if launch.world_size < 1 or launch.rank >= launch.world_size:
        raise LaunchError(
            f"rank {launch.rank} of {launch.world_size} processes: there is no such rank; leave RANK and WORLD_SIZE, "
            "which counts processes and not nodes, to the launcher"
        )
    if launch.nodes is not None and (launch.nodes < 1 or launch.world_size % launch.nodes):
        raise LaunchError(
            f"{launch.world_size} processes on {launch.nodes} nodes ({NODE_COUNT}): expected the same number "
            "on each; in PyTorchConfiguration process_count is that of all nodes together"
        )
    per_node = launch.processes_per_node
    if per_node is not None and launch.local_rank >= per_node:
        raise LaunchError(
            f"local rank {launch.local_rank} of {per_node} processes on a node ({launch.world_size} on {launch.nodes} "
            "nodes): there is no such local rank; leave LOCAL_RANK and WORLD_SIZE, which counts processes and not "
            "nodes, to the launcher"
        )
    if per_node is not None and launch.rank % per_node != launch.local_rank:
        raise LaunchError(
            f"rank {launch.rank} has local rank {launch.local_rank} of {per_node}: ranks are dealt round the nodes, or "
            "LOCAL_RANK isn't the launcher's; start mpirun with --map-by slot, and leave LOCAL_RANK to the launcher"
        )
    if launch.port is not None and not 1 <= launch.port <= 65535:
        raise LaunchError(
            f"the port of rank 0 is {launch.port} ({MASTER_PORT} or {BATCH_MASTER}); expected one from 1 to 65535"
        )
    if (launch.nodes or 1) > 1 and launch.address in (None, *LOCAL_NAMES):
        given = f"is {launch.address!r}, which is each node itself" if launch.address else "isn't set"
        wanted = BATCH_MASTER if launch.launcher == MPI else MASTER_ADDRESS
        raise LaunchError(
            f"{launch.nodes} nodes, and the address of rank 0 {given}; expected {wanted}, or set "
            f"{MASTER_ADDRESS} to the address of the first node"
        )


def require_all_nodes(environment: Mapping[str, str], launch: Launch) -> None:
    """Each node would train a network of its own otherwise."""
    count = read_number(environment, NODE_COUNT)
    if count is None or launch.nodes is None or launch.nodes >= count:
        return
    if launch.launcher == ALONE:
        raise LaunchError(
            f"the job has {count} nodes ({NODE_COUNT}), and no launcher has told this process its rank; "
            "submit it with --launcher pytorch or mpi"
        )
    raise LaunchError(
        f"the job has {count} nodes ({NODE_COUNT}), and {launch.launcher} has started processes on "
        f"{launch.nodes}; start them on all nodes together (python -m submit run --nodes {count} does)"
    )


def require_complete_variables(environment: Mapping[str, str]) -> None:
    """A process that takes itself for the only one, while others are waiting for it, is the worst of all cases."""
    _require_whole_mpi(environment)
    _require_whole_pytorch(environment)
    tasks = read_number(environment, SLURM_TASKS) or 1
    if tasks > 1:
        raise LaunchError(
            f"srun has started {tasks} tasks ({SLURM_TASKS}), and each would train alone, because this "
            "training doesn't ask SLURM; start mpirun or torchrun instead"
        )


def _require_whole_mpi(environment: Mapping[str, str]) -> None:
    for rank, size, *_ in (OPEN_MPI, HYDRA):
        missing = [name for name in (rank, size) if not environment.get(name)]
        if len(missing) == 1 and (
            (read_number(environment, rank) or 0) > 0 or (read_number(environment, size) or 1) > 1
        ):
            (there,) = {rank, size} - set(missing)
            raise LaunchError(
                f"{there} is {environment[there]}, and {missing[0]} is missing; hand on all variables of MPI, or none"
            )


def _require_whole_pytorch(environment: Mapping[str, str]) -> None:
    size = read_number(environment, "WORLD_SIZE")
    missing = [name for name in ("RANK", "WORLD_SIZE", MASTER_ADDRESS) if not environment.get(name)]
    misspelled = " (MASTER_ADDRESS is set, which nothing reads)" if "MASTER_ADDRESS" in environment else ""
    if size is not None and size > 1:
        raise LaunchError(
            f"WORLD_SIZE is {size}, and {' and '.join(missing)} missing{misspelled}; set what is missing, or unset "
            "WORLD_SIZE for a training of one process"
        )
    # a lone RANK is a stray (Lightning #5651); with an address it is one of several that wait for one another
    if missing == ["WORLD_SIZE"] and read_number(environment, "RANK"):
        raise LaunchError(
            f"RANK is {environment['RANK']}, and WORLD_SIZE is missing; set it to the number of processes, or unset "
            "RANK for a training of one process"
        )


def match_trainer(launch: Launch, num_nodes: int, num_devices: int) -> Launch:
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
        launch = _with_nodes(launch, num_nodes)
    if launch.nodes != num_nodes:
        raise LaunchError(
            f"{launch.launcher} has started processes on {_counted_nodes(launch)}, and --trainer.num_nodes is "
            f"{num_nodes}; give --trainer.num_nodes {launch.nodes}"
        )
    per_node = launch.processes_per_node
    if per_node != num_devices and not launch.lightning_starts_rest:
        more = f", or torchrun --nproc_per_node {num_devices}" if launch.launcher == TORCHRUN else ""
        raise LaunchError(
            f"{launch.launcher} has started {_processes(per_node)} on each node, and --trainer.devices is "
            f"{num_devices}; give --trainer.devices {per_node}{more}"
        )
    return launch


def _with_nodes(launch: Launch, num_nodes: int) -> Launch:
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


_SECONDS = 10.0  # a cluster's name service may hear of a node after the node has started its processes
_SECONDS_BETWEEN_LOOKS = 1.0


def require_resolvable(launch: Launch, seconds: float = _SECONDS) -> None:
    """Called before any process waits for another one: torch would try for half an hour.

    Raises:
        LaunchError: The name service doesn't know it for as many seconds.
    """
    deadline = time.monotonic() + seconds
    while launch.world_size > 1 and launch.address is not None and not _is_known(launch.address):
        if time.monotonic() > deadline:
            raise LaunchError(
                f"the address of rank 0, {launch.address}, can't be resolved on this node; set it to a name or number "
                "that all nodes know"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _is_known(address: str) -> bool:
    try:
        return bool(socket.getaddrinfo(address, None))
    except (OSError, UnicodeError):  # UnicodeError: it can't be a name at all
        return False


def require_gloo_interfaces(environment: Mapping[str, str] = os.environ) -> None:
    """Called where gloo will join the processes, as it does on CPUs.

    Raises:
        LaunchError: It has been told to use an interface that this node doesn't have.
    """
    unknown = unknown_interfaces(environment)
    if unknown:
        raise LaunchError(
            f"{GLOO_INTERFACES} names {', '.join(unknown)}, and this node has no such interface; unset "
            f"{GLOO_INTERFACES}"
        )


def unknown_interfaces(environment: Mapping[str, str]) -> list[str]:
    here = {name for _, name in socket.if_nameindex()}
    return [name for name in environment.get(GLOO_INTERFACES, "").split(",") if name and name not in here]
