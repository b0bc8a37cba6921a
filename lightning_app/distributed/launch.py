"""What a process can tell of its place among the others, from the variables that its launcher has set."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lightning_app.distributed import variables
from lightning_app.distributed.variables import number, numbers
from lightning_app.errors import LaunchError

MPI, PYTORCH, TORCHRUN, LIGHTNING, ALONE = "MPI", "PyTorch", "torchrun", "Lightning", "none"
LOOPBACK = "127.0.0.1"
_LOCAL_NAMES = ("localhost", LOOPBACK, "::1", "0.0.0.0", "::")  # noqa: S104 nothing is bound to it


@dataclass(frozen=True)
class Launch:
    """Who started this process, where it stands, and where rank 0 listens.

    Args:
        launcher: MPI, PyTorch (Azure ML's own), torchrun, Lightning (a process of this program started this one), or
            none.
        rank: Rank among the processes that the launcher started.
        local_rank: Rank on the node.
        world_size: Processes that the launcher started.
        nodes: None where the launcher doesn't tell.
        address: None where only a process on this node can be meant.
        port: None where nothing has chosen one.
    """

    launcher: str
    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    nodes: int | None = 1
    address: str | None = None
    port: int | None = None

    @property
    def processes_per_node(self) -> int | None:
        return None if self.nodes is None else self.world_size // self.nodes

    @property
    def node_rank(self) -> int:
        # Open MPI's own NODE_RANK is something else, the rank among the processes of a node
        return 0 if self.processes_per_node is None else self.rank // self.processes_per_node

    @property
    def leaves_the_rest_to_lightning(self) -> bool | None:
        """Whether each node has one process, which is to start those of the other devices; None if that isn't known."""
        if self.launcher in (LIGHTNING, TORCHRUN):
            return False
        return None if self.processes_per_node is None else self.processes_per_node == 1

    def with_nodes(self, nodes: int) -> "Launch":
        """The same with the number of nodes, which somebody else has told.

        Raises:
            LaunchError: The number can't be right.
        """
        # an MPI that tells no number of nodes tells no local rank, either
        local_rank = self.rank % max(1, self.world_size // nodes) if self.launcher == MPI else self.local_rank
        launch = replace(self, nodes=nodes, local_rank=local_rank)
        _require_consistent(launch)
        return launch


def read_launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """The place of this process.

    Raises:
        LaunchError: The variables leave open what it is, or contradict one another, so that the processes would wait
            for one another.
    """
    readers = (_spawned, _torchrun, _mpi, _pytorch)
    launch = next((found for found in (reader(environment) for reader in readers) if found is not None), None)
    launch = launch or Launch(ALONE)
    if launch.launcher == ALONE or (launch.launcher == MPI and launch.world_size == 1):
        _require_nothing_half_said(environment)
    _require_consistent(launch)
    if launch.launcher != LIGHTNING:
        _require_all_nodes(environment, launch)
    return launch


def spawned_by(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The process that let Lightning start the others of its node, and the number of nodes."""
    pid, _, nodes = environment.get(variables.SPAWNED_BY, "").partition(":")
    return (int(pid), int(nodes)) if pid.isdecimal() and nodes.isdecimal() else None


def _spawned(environment: Mapping[str, str]) -> Launch | None:
    """One of those that Lightning has started on a node, the first among them after it has started the others."""
    spawner = spawned_by(environment)
    # what somebody else's training left in the environment doesn't count
    if spawner is None or spawner[0] not in (os.getpid(), os.getppid()):
        return None
    found = numbers(environment, "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")
    if found is None:
        return None
    node, local, size = found
    rank = node * (size // spawner[1]) + local
    return Launch(LIGHTNING, rank, local, size, spawner[1], *_master(environment))


def _torchrun(environment: Mapping[str, str]) -> Launch | None:
    found = numbers(environment, "RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    if found is None or variables.TORCHRUN not in environment:
        return None
    rank, local, size, local_size = found
    return Launch(TORCHRUN, rank, local, size, _nodes(size, local_size, "LOCAL_WORLD_SIZE"), *_master(environment))


def _mpi(environment: Mapping[str, str]) -> Launch | None:
    names = next((names for names in (variables.OPEN_MPI, variables.HYDRA) if environment.get(names[1])), None)
    found = numbers(environment, *names[:2]) if names else None
    if names is None or found is None:
        return None
    rank, size = found
    if size == 1 and _is_pytorch(environment):  # Azure ML starts other launchers by MPI, too (azure-docs #93998)
        return None
    local, local_size = (number(environment, name) for name in names[2:])
    nodes = number(environment, variables.NODE_COUNT) if local_size is None else _nodes(size, local_size, names[3])
    if local is None and nodes:
        local = rank % max(1, size // nodes)
    address, port = _mpi_master(environment, nodes)
    return Launch(MPI, rank, local or 0, size, nodes, address, port)


def _pytorch(environment: Mapping[str, str]) -> Launch | None:
    if not _is_pytorch(environment):
        return None
    rank, size = numbers(environment, "RANK", "WORLD_SIZE") or (0, 1)
    local = number(environment, "LOCAL_RANK") or 0
    nodes = _pytorch_nodes(environment, rank, local, size)
    if nodes and not environment.get("LOCAL_RANK"):
        local = rank % max(1, size // nodes)
    local = 0 if size == 1 else local  # it would be a stray
    return Launch(PYTORCH, rank, local, size, nodes, *_master(environment))


def _is_pytorch(environment: Mapping[str, str]) -> bool:
    return all(environment.get(name, "").strip() for name in ("RANK", "WORLD_SIZE", variables.MASTER_ADDRESS))


def _pytorch_nodes(environment: Mapping[str, str], rank: int, local: int, size: int) -> int | None:
    nodes = number(environment, variables.NODE_COUNT)
    if nodes is not None or size == 1:
        return nodes or 1
    node = number(environment, "NODE_RANK")
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
    return environment.get(variables.MASTER_ADDRESS) or None, _port(environment)


def _port(environment: Mapping[str, str]) -> int:
    port = number(environment, variables.MASTER_PORT)
    return variables.DEFAULT_PORT if port is None else port


def _mpi_master(environment: Mapping[str, str], nodes: int | None) -> tuple[str | None, int]:
    """Where rank 0 listens. Of what names it, what Azure ML says of jobs on several nodes comes first."""
    address, _, port = environment.get(variables.BATCH_MASTER, "").rpartition(":")
    chosen = _port(environment)
    if address and port.isdecimal():
        chosen = int(port)
    elif not address:
        address = port  # an address alone
    if nodes == 1:
        return None, chosen
    named = (address, environment.get(variables.MASTER_ADDRESS), environment.get(variables.BATCHAI_MASTER))
    reachable = [name.strip("[]") for name in named if name and name not in _LOCAL_NAMES]
    return (reachable[0] if reachable else None), chosen


def _require_consistent(launch: Launch) -> None:
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
    if (launch.nodes or 1) > 1 and launch.address in (None, *_LOCAL_NAMES):
        given = f"is {launch.address!r}, which is each node itself" if launch.address else "isn't set"
        wanted = variables.BATCH_MASTER if launch.launcher == MPI else variables.MASTER_ADDRESS
        raise LaunchError(
            f"{launch.nodes} nodes, and the address of rank 0 {given}; expected {wanted}, or set "
            f"{variables.MASTER_ADDRESS} to the address of the first node"
        )


def _require_all_nodes(environment: Mapping[str, str], launch: Launch) -> None:
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


def _require_nothing_half_said(environment: Mapping[str, str]) -> None:
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
