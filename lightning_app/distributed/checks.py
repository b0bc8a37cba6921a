"""Refuses launches that would hang, or in which each process would train a network of its own.

First the launcher's variables are checked, then what the Trainer expects of the launch, then this node's network.
"""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import replace

from lightning_app.distributed.launch import (
    AZ_BATCH_MASTER_NODE,
    AZUREML_NODE_COUNT,
    GLOO_SOCKET_IFNAME,
    HYDRA,
    LIGHTNING,
    LOCAL_NAMES,
    MASTER_ADDR,
    MASTER_PORT,
    MPI,
    NO_LAUNCHER,
    OPEN_MPI,
    SLURM_STEP_NUM_TASKS,
    TORCHRUN,
    Launch,
    read_number,
)
from lightning_app.errors import LaunchError

_RESOLVE_SECONDS = 10.0  # a cluster's name service may learn a node's name only after the node has started processes
_RETRY_SECONDS = 1.0


def require_valid_launch(launch: Launch) -> None:
    """Raises LaunchError unless ranks, sizes, address and port of a launch are possible together."""
    if launch.world_size < 1 or launch.rank >= launch.world_size:
        raise LaunchError(
            f"rank {launch.rank} of {launch.world_size} processes: there is no such rank; leave RANK and WORLD_SIZE, "
            "which counts processes and not nodes, to the launcher"
        )
    if launch.nodes is not None and (launch.nodes < 1 or launch.world_size % launch.nodes):
        raise LaunchError(
            f"{launch.world_size} processes on {launch.nodes} nodes ({AZUREML_NODE_COUNT}): expected the same number "
            "on each; in PyTorchConfiguration process_count is the total of all nodes"
        )
    _require_valid_local_rank(launch)
    if launch.port is not None and not 1 <= launch.port <= 65535:
        raise LaunchError(
            f"the port of rank 0 is {launch.port} ({MASTER_PORT} or {AZ_BATCH_MASTER_NODE}); expected one from 1 to "
            "65535"
        )
    if (launch.nodes or 1) > 1 and launch.address in (None, *LOCAL_NAMES):
        given = f"is {launch.address!r}, which is each node itself" if launch.address else "isn't set"
        expected = AZ_BATCH_MASTER_NODE if launch.launcher == MPI else MASTER_ADDR
        raise LaunchError(
            f"there are {launch.nodes} nodes, and the address of rank 0 {given}; expected {expected}, or set "
            f"{MASTER_ADDR} to the address of the first node"
        )


def _require_valid_local_rank(launch: Launch) -> None:
    per_node = launch.processes_per_node
    if per_node is not None and launch.local_rank >= per_node:
        raise LaunchError(
            f"local rank {launch.local_rank} of {per_node} processes on a node ({launch.world_size} on {launch.nodes} "
            "nodes): there is no such local rank; leave LOCAL_RANK and WORLD_SIZE, which counts processes and not "
            "nodes, to the launcher"
        )
    if per_node is not None and launch.rank % per_node != launch.local_rank:
        raise LaunchError(
            f"rank {launch.rank} has local rank {launch.local_rank} of {per_node}: ranks alternate between the nodes, "
            "or something has changed LOCAL_RANK; start mpirun with --map-by slot, and leave LOCAL_RANK to the launcher"
        )


def require_all_nodes(environment: Mapping[str, str], launch: Launch) -> None:
    """Raises LaunchError if a job has more nodes than the launch: each node would train a network of its own."""
    count = read_number(environment, AZUREML_NODE_COUNT)
    if count is None or launch.nodes is None or launch.nodes >= count:
        return
    if launch.launcher == NO_LAUNCHER:
        raise LaunchError(
            f"the job has {count} nodes ({AZUREML_NODE_COUNT}), and no launcher has set the rank of this process; "
            "submit it with --launcher pytorch or mpi"
        )
    raise LaunchError(
        f"the job has {count} nodes ({AZUREML_NODE_COUNT}), and {launch.launcher} has started processes on "
        f"{launch.nodes}; start them on all nodes together (python -m submit run --nodes {count} does)"
    )


def require_complete_variables(environment: Mapping[str, str]) -> None:
    """Raises LaunchError if a process that seems to be alone has some of the variables of one that isn't.

    It would train alone while other processes wait for it.
    """
    _require_complete_mpi(environment)
    _require_complete_pytorch(environment)
    tasks = read_number(environment, SLURM_STEP_NUM_TASKS) or 1
    if tasks > 1:
        raise LaunchError(
            f"srun has started {tasks} tasks ({SLURM_STEP_NUM_TASKS}), and each would train alone, because this "
            "training doesn't read SLURM's variables; start mpirun or torchrun instead"
        )


def _require_complete_mpi(environment: Mapping[str, str]) -> None:
    for rank, size, *_ in (OPEN_MPI, HYDRA):
        missing = [name for name in (rank, size) if not environment.get(name)]
        if len(missing) == 1 and (
            (read_number(environment, rank) or 0) > 0 or (read_number(environment, size) or 1) > 1
        ):
            (present,) = {rank, size} - set(missing)
            raise LaunchError(
                f"{present} is {environment[present]}, and {missing[0]} is missing; pass on all variables of MPI, or "
                "none"
            )


def _require_complete_pytorch(environment: Mapping[str, str]) -> None:
    size = read_number(environment, "WORLD_SIZE")
    missing = [name for name in ("RANK", "WORLD_SIZE", MASTER_ADDR) if not environment.get(name)]
    misspelled = " (MASTER_ADDRESS is set, which no program reads)" if "MASTER_ADDRESS" in environment else ""
    if size is not None and size > 1:
        verb = "is" if len(missing) == 1 else "are"
        raise LaunchError(
            f"WORLD_SIZE is {size}, and {' and '.join(missing)} {verb} missing{misspelled}; set what is missing, or "
            "unset WORLD_SIZE for a training of one process"
        )
    # RANK alone may be left over (Lightning #5651); with an address, the process is one of several
    if missing == ["WORLD_SIZE"] and read_number(environment, "RANK"):
        raise LaunchError(
            f"RANK is {environment['RANK']}, and WORLD_SIZE is missing; set it to the number of processes, or unset "
            "RANK for a training of one process"
        )


def match_trainer(launch: Launch, num_nodes: int, num_devices: int) -> Launch:
    """The launch with its number of nodes, if the Trainer expects the processes that were started.

    Args:
        launch: As detected.
        num_nodes: The Trainer's number of nodes.
        num_devices: The Trainer's number of devices on each node.

    Raises:
        LaunchError: They differ. The processes would wait for others that don't exist, or each would train alone.
    """
    if launch.launcher == LIGHTNING:  # its numbers are the Trainer's own
        return launch
    if launch.launcher == NO_LAUNCHER:
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
            f"{launch.launcher} has started processes on {_count_nodes(launch.nodes)}, and --trainer.num_nodes is "
            f"{num_nodes}; give --trainer.num_nodes {launch.nodes}"
        )
    per_node = launch.processes_per_node
    if per_node != num_devices and not launch.lightning_starts_rest:
        or_torchrun = f", or torchrun --nproc_per_node {num_devices}" if launch.launcher == TORCHRUN else ""
        raise LaunchError(
            f"{launch.launcher} has started {_count_processes(per_node)} on each node, and --trainer.devices is "
            f"{num_devices}; give --trainer.devices {per_node}{or_torchrun}"
        )
    return launch


def _with_nodes(launch: Launch, num_nodes: int) -> Launch:
    """For a launcher that sets the number of processes and not that of nodes."""
    if launch.world_size % num_nodes:
        raise LaunchError(
            f"{launch.launcher} has started {launch.world_size} processes, and --trainer.num_nodes is {num_nodes}; "
            "expected the same number on each node: set --trainer.num_nodes to the number of nodes"
        )
    # an MPI that doesn't set the number of nodes doesn't set the local rank, either
    local_rank = launch.rank % max(1, launch.world_size // num_nodes) if launch.launcher == MPI else launch.local_rank
    launch = replace(launch, nodes=num_nodes, local_rank=local_rank)
    require_valid_launch(launch)
    return launch


def _count_nodes(number: int | None) -> str:
    return f"{number} node{'s' * (number != 1)}"


def _count_processes(number: int | None) -> str:
    return f"{number} process{'es' * (number != 1)}"


def require_resolvable_address(launch: Launch, seconds: float = _RESOLVE_SECONDS) -> None:
    """Called before any process waits for another one; torch would try for half an hour.

    Raises:
        LaunchError: The name service hasn't resolved rank 0's address for ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while launch.world_size > 1 and launch.address is not None and not _is_resolvable(launch.address):
        if time.monotonic() > deadline:
            raise LaunchError(
                f"the address of rank 0, {launch.address}, can't be resolved on this node; set it to a host name or "
                "an IP address that works on all nodes"
            )
        time.sleep(_RETRY_SECONDS)


def _is_resolvable(address: str) -> bool:
    try:
        return bool(socket.getaddrinfo(address, None))
    except (OSError, UnicodeError):  # UnicodeError: it isn't a valid name
        return False


def require_gloo_interfaces(environment: Mapping[str, str] = os.environ) -> None:
    """Called where gloo connects the processes, which is on CPUs.

    Raises:
        LaunchError: GLOO_SOCKET_IFNAME names an interface that this node doesn't have.
    """
    unknown = unknown_interfaces(environment)
    if unknown:
        raise LaunchError(
            f"{GLOO_SOCKET_IFNAME} names {', '.join(unknown)}, and this node has no such interface; unset "
            f"{GLOO_SOCKET_IFNAME}"
        )


def unknown_interfaces(environment: Mapping[str, str]) -> list[str]:
    """Interfaces that GLOO_SOCKET_IFNAME names and this node doesn't have."""
    existing = {name for _, name in socket.if_nameindex()}
    names = environment.get(GLOO_SOCKET_IFNAME, "").split(",")
    return [name for name in names if name and name not in existing]
