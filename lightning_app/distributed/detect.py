"""Detects how this process was started, from the variables that its launcher has set."""

import os
from collections.abc import Mapping

from lightning_app.distributed.checks import require_all_nodes, require_complete_variables, require_consistent
from lightning_app.distributed.launch import (
    ALONE,
    BATCH_MASTER,
    BATCHAI_MASTER,
    DEFAULT_PORT,
    HYDRA,
    LIGHTNING,
    LOCAL_NAMES,
    MASTER_ADDRESS,
    MASTER_PORT,
    MPI,
    NODE_COUNT,
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
    """The place of this process.

    Raises:
        LaunchError: The variables leave open what it is, or contradict one another, so that the processes would wait
            for one another.
    """
    readers = (_spawned, _torchrun, _mpi, _pytorch)
    launch = next((found for found in (reader(environment) for reader in readers) if found is not None), None)
    launch = launch or Launch(ALONE)
    if launch.launcher == ALONE or (launch.launcher == MPI and launch.world_size == 1):
        require_complete_variables(environment)
    require_consistent(launch)
    if launch.launcher != LIGHTNING:
        require_all_nodes(environment, launch)
    return launch


def read_spawner(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The process that let Lightning start the others of its node, and the number of nodes."""
    pid, _, nodes = environment.get(SPAWNED_BY, "").partition(":")
    return (int(pid), int(nodes)) if pid.isdecimal() and nodes.isdecimal() else None


def _spawned(environment: Mapping[str, str]) -> Launch | None:
    """One of those that Lightning has started on a node, the first among them after it has started the others."""
    spawner = read_spawner(environment)
    # what somebody else's training left in the environment doesn't count
    if spawner is None or spawner[0] not in (os.getpid(), os.getppid()):
        return None
    found = read_numbers(environment, "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
    if found is None:
        return None
    node, local, size = found
    rank = node * (size // spawner[1]) + local
    return Launch(LIGHTNING, rank, local, size, spawner[1], *_master(environment))


def _torchrun(environment: Mapping[str, str]) -> Launch | None:
    found = read_numbers(environment, "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    if found is None or TORCHELASTIC_RUN_ID not in environment:
        return None
    rank, local, size, local_size = found
    return Launch(TORCHRUN, rank, local, size, _nodes(size, local_size, "LOCAL_WORLD_SIZE"), *_master(environment))


def _mpi(environment: Mapping[str, str]) -> Launch | None:
    names = next((names for names in (OPEN_MPI, HYDRA) if environment.get(names[1])), None)
    found = read_numbers(environment, *names[:2]) if names else None
    if names is None or found is None:
        return None
    rank, size = found
    if size == 1 and _is_pytorch(environment):  # Azure ML starts other launchers by MPI, too (azure-docs #93998)
        return None
    local, local_size = (read_number(environment, name) for name in names[2:])
    nodes = read_number(environment, NODE_COUNT) if local_size is None else _nodes(size, local_size, names[3])
    if local is None and nodes:
        local = rank % max(1, size // nodes)
    address, port = _mpi_master(environment, nodes)
    return Launch(MPI, rank, local or 0, size, nodes, address, port)


def _pytorch(environment: Mapping[str, str]) -> Launch | None:
    if not _is_pytorch(environment):
        return None
    rank, size = read_numbers(environment, "RANK", "WORLD_SIZE") or (0, 1)
    local = read_number(environment, "LOCAL_RANK") or 0
    nodes = _pytorch_nodes(environment, rank, local, size)
    if nodes and not environment.get("LOCAL_RANK"):
        local = rank % max(1, size // nodes)
    local = 0 if size == 1 else local  # it would be a stray
    return Launch(PYTORCH, rank, local, size, nodes, *_master(environment))


def _is_pytorch(environment: Mapping[str, str]) -> bool:
    return all(environment.get(name, "").strip() for name in ("RANK", "WORLD_SIZE", MASTER_ADDRESS))


def _pytorch_nodes(environment: Mapping[str, str], rank: int, local: int, size: int) -> int | None:
    nodes = read_number(environment, NODE_COUNT)
    if nodes is not None or size == 1:
        return nodes or 1
    node = read_number(environment, "NODE_RANK")
    if node and (rank - local) % node == 0 and rank > local:
        return size // ((rank - local) // node)
    return None  # the first node can't know; --trainer.num_nodes tells


def _nodes(size: int, local_size: int, name: str) -> int:
    if local_size == 0 or size % local_size:
        raise LaunchError(
            f"{size} processes were started, and {local_size} of them on this node ({name}); expected the same number "
            "on each node: give the launcher as many for each"
        )
    return size // local_size


def _master(environment: Mapping[str, str]) -> tuple[str | None, int]:
    return environment.get(MASTER_ADDRESS) or None, _port(environment)


def _port(environment: Mapping[str, str]) -> int:
    port = read_number(environment, MASTER_PORT)
    return DEFAULT_PORT if port is None else port


def _mpi_master(environment: Mapping[str, str], nodes: int | None) -> tuple[str | None, int]:
    """Where rank 0 listens. Of what names it, what Azure ML says of jobs on several nodes comes first."""
    address, _, port = environment.get(BATCH_MASTER, "").rpartition(":")
    chosen = _port(environment)
    if address and port.isdecimal():
        chosen = int(port)
    elif not address:
        address = port  # an address alone
    if nodes == 1:
        return None, chosen
    named = (address, environment.get(MASTER_ADDRESS), environment.get(BATCHAI_MASTER))
    reachable = [name.strip("[]") for name in named if name and name not in LOCAL_NAMES]
    return (reachable[0] if reachable else None), chosen
