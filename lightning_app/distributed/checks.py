"""Launches that would hang, or train a network of each process's own, are refused."""

from collections.abc import Mapping

from lightning_app.distributed import variables
from lightning_app.distributed.launch import ALONE, LOCAL_NAMES, MPI, Launch
from lightning_app.distributed.variables import number
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
            f"{launch.world_size} processes on {launch.nodes} nodes ({variables.NODE_COUNT}): expected the same number "
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
            f"the port of rank 0 is {launch.port} ({variables.MASTER_PORT} or {variables.BATCH_MASTER}); expected one "
            "from 1 to 65535"
        )
    if (launch.nodes or 1) > 1 and launch.address in (None, *LOCAL_NAMES):
        given = f"is {launch.address!r}, which is each node itself" if launch.address else "isn't set"
        wanted = variables.BATCH_MASTER if launch.launcher == MPI else variables.MASTER_ADDRESS
        raise LaunchError(
            f"{launch.nodes} nodes, and the address of rank 0 {given}; expected {wanted}, or set "
            f"{variables.MASTER_ADDRESS} to the address of the first node"
        )


def require_all_nodes(environment: Mapping[str, str], launch: Launch) -> None:
    """Each node would train a network of its own otherwise."""
    count = number(environment, variables.NODE_COUNT)
    if count is None or launch.nodes is None or launch.nodes >= count:
        return
    if launch.launcher == ALONE:
        raise LaunchError(
            f"the job has {count} nodes ({variables.NODE_COUNT}), and no launcher has told this process its rank; "
            "submit it with --launcher pytorch or mpi"
        )
    raise LaunchError(
        f"the job has {count} nodes ({variables.NODE_COUNT}), and {launch.launcher} has started processes on "
        f"{launch.nodes}; start them on all nodes together (python -m submit run --nodes {count} does)"
    )


def require_nothing_half_said(environment: Mapping[str, str]) -> None:
    """A process that takes itself for the only one, while others are waiting for it, is the worst of all cases."""
    _require_whole_mpi(environment)
    _require_whole_pytorch(environment)
    tasks = number(environment, variables.SLURM_TASKS) or 1
    if tasks > 1:
        raise LaunchError(
            f"srun has started {tasks} tasks ({variables.SLURM_TASKS}), and each would train alone, because this "
            "training doesn't ask SLURM; start mpirun or torchrun instead"
        )


def _require_whole_mpi(environment: Mapping[str, str]) -> None:
    for rank, size, *_ in (variables.OPEN_MPI, variables.HYDRA):
        missing = [name for name in (rank, size) if not environment.get(name)]
        if len(missing) == 1 and ((number(environment, rank) or 0) > 0 or (number(environment, size) or 1) > 1):
            (there,) = {rank, size} - set(missing)
            raise LaunchError(
                f"{there} is {environment[there]}, and {missing[0]} is missing; hand on all variables of MPI, or none"
            )


def _require_whole_pytorch(environment: Mapping[str, str]) -> None:
    size = number(environment, "WORLD_SIZE")
    missing = [name for name in ("RANK", "WORLD_SIZE", variables.MASTER_ADDRESS) if not environment.get(name)]
    misspelled = " (MASTER_ADDRESS is set, which nothing reads)" if "MASTER_ADDRESS" in environment else ""
    if size is not None and size > 1:
        raise LaunchError(
            f"WORLD_SIZE is {size}, and {' and '.join(missing)} missing{misspelled}; set what is missing, or unset "
            "WORLD_SIZE for a training of one process"
        )
    # a lone RANK is a stray (Lightning #5651); with an address it is one of several that wait for one another
    if missing == ["WORLD_SIZE"] and number(environment, "RANK"):
        raise LaunchError(
            f"RANK is {environment['RANK']}, and WORLD_SIZE is missing; set it to the number of processes, or unset "
            "RANK for a training of one process"
        )
