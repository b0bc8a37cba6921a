"""Detects how this process was started, from the variables that its launcher has set."""

import os
from collections.abc import Mapping

from lightning_app.distributed.checks import require_all_nodes, require_complete_variables, require_valid_launch
from lightning_app.distributed.launch import (
    AZ_BATCH_MASTER_NODE,
    AZ_BATCHAI_MPI_MASTER_NODE,
    AZUREML_NODE_COUNT,
    DEFAULT_PORT,
    HYDRA,
    LIGHTNING,
    LOCAL_NAMES,
    MASTER_ADDR,
    MASTER_PORT,
    MPI,
    NO_LAUNCHER,
    OPEN_MPI,
    PYTORCH,
    SPAWNED_BY,
    TORCHELASTIC_RUN_ID,
    TORCHRUN,
    Launch,
    read_number,
    read_numbers,
)
from lightning_app.errors import LaunchError


def detect_launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """How this process was started.

    Raises:
        LaunchError: The variables are incomplete or conflict with one another; the processes would wait for one
            another for ever, or each would train alone.
    """
    readers = (_spawned, _torchrun, _mpi, _pytorch)
    launch = next((found for found in (reader(environment) for reader in readers) if found is not None), None)
    launch = launch or Launch(NO_LAUNCHER)
    if launch.launcher == NO_LAUNCHER or (launch.launcher == MPI and launch.world_size == 1):
        require_complete_variables(environment)
    require_valid_launch(launch)
    if launch.launcher != LIGHTNING:
        require_all_nodes(environment, launch)
    return launch


def read_spawner(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The pid of the process in which Lightning started the others of its node, and the number of nodes."""
    pid, _, nodes = environment.get(SPAWNED_BY, "").partition(":")
    return (int(pid), int(nodes)) if pid.isdecimal() and nodes.isdecimal() else None


def _spawned(environment: Mapping[str, str]) -> Launch | None:
    """A process that Lightning started, or the one in which it has started the others of the node."""
    spawner = read_spawner(environment)
    # the variable may be left over from another training
    if spawner is None or spawner[0] not in (os.getpid(), os.getppid()):
        return None
    numbers = read_numbers(environment, "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
    if numbers is None:
        return None
    node_rank, local_rank, size = numbers
    rank = node_rank * (size // spawner[1]) + local_rank
    return Launch(LIGHTNING, rank, local_rank, size, spawner[1], *_master(environment))


def _torchrun(environment: Mapping[str, str]) -> Launch | None:
    numbers = read_numbers(environment, "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    if numbers is None or TORCHELASTIC_RUN_ID not in environment:
        return None
    rank, local_rank, size, local_size = numbers
    nodes = _nodes(size, local_size, "LOCAL_WORLD_SIZE")
    return Launch(TORCHRUN, rank, local_rank, size, nodes, *_master(environment))


def _mpi(environment: Mapping[str, str]) -> Launch | None:
    names = next((names for names in (OPEN_MPI, HYDRA) if environment.get(names.size)), None)
    numbers = read_numbers(environment, names.rank, names.size) if names else None
    if names is None or numbers is None:
        return None
    rank, size = numbers
    if size == 1 and _has_pytorch_variables(environment):  # Azure ML uses MPI to start other launchers as well
        return None  # (azure-docs #93998)
    local_rank, local_size = read_number(environment, names.local_rank), read_number(environment, names.local_size)
    if local_size is None:
        nodes = read_number(environment, AZUREML_NODE_COUNT)
    else:
        nodes = _nodes(size, local_size, names.local_size)
    if local_rank is None and nodes:
        local_rank = rank % max(1, size // nodes)
    address, port = _mpi_master(environment, nodes)
    return Launch(MPI, rank, local_rank or 0, size, nodes, address, port)


def _pytorch(environment: Mapping[str, str]) -> Launch | None:
    if not _has_pytorch_variables(environment):
        return None
    rank, size = read_numbers(environment, "RANK", "WORLD_SIZE") or (0, 1)
    local_rank = read_number(environment, "LOCAL_RANK") or 0
    nodes = _pytorch_nodes(environment, rank, local_rank, size)
    if nodes and not environment.get("LOCAL_RANK"):
        local_rank = rank % max(1, size // nodes)
    local_rank = 0 if size == 1 else local_rank  # left over from another program
    return Launch(PYTORCH, rank, local_rank, size, nodes, *_master(environment))


def _has_pytorch_variables(environment: Mapping[str, str]) -> bool:
    return all(environment.get(name, "").strip() for name in ("RANK", "WORLD_SIZE", MASTER_ADDR))


def _pytorch_nodes(environment: Mapping[str, str], rank: int, local_rank: int, size: int) -> int | None:
    nodes = read_number(environment, AZUREML_NODE_COUNT)
    if nodes is not None or size == 1:
        return nodes or 1
    node_rank = read_number(environment, "NODE_RANK")
    if node_rank and (rank - local_rank) % node_rank == 0 and rank > local_rank:
        return size // ((rank - local_rank) // node_rank)
    return None  # on the first node it can't be computed; --trainer.num_nodes sets it


def _nodes(size: int, local_size: int, name: str) -> int:
    if local_size == 0 or size % local_size:
        raise LaunchError(
            f"{size} processes were started, and {local_size} of them on this node ({name}); expected the same number "
            "on each node: start as many on each"
        )
    return size // local_size


def _master(environment: Mapping[str, str]) -> tuple[str | None, int]:
    return environment.get(MASTER_ADDR) or None, _port(environment)


def _port(environment: Mapping[str, str]) -> int:
    port = read_number(environment, MASTER_PORT)
    return DEFAULT_PORT if port is None else port


def _mpi_master(environment: Mapping[str, str], nodes: int | None) -> tuple[str | None, int]:
    """Host and port of rank 0. Of the variables that name it, Azure ML's for jobs on several nodes comes first."""
    address, _, port = environment.get(AZ_BATCH_MASTER_NODE, "").rpartition(":")
    chosen_port = _port(environment)
    if address and port.isdecimal():
        chosen_port = int(port)
    elif not address:
        address = port  # there was no colon: it is a host without a port
    if nodes == 1:
        return None, chosen_port
    candidates = (address, environment.get(MASTER_ADDR), environment.get(AZ_BATCHAI_MPI_MASTER_NODE))
    reachable = [name.strip("[]") for name in candidates if name and name not in LOCAL_NAMES]
    return (reachable[0] if reachable else None), chosen_port
