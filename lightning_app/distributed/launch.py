"""How a process was started: its launcher, its ranks, and the environment variables that say so."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning_app.errors import LaunchError

MPI, PYTORCH, TORCHRUN, LIGHTNING, ALONE = "MPI", "PyTorch", "torchrun", "Lightning", "none"
LOOPBACK = "127.0.0.1"
LOCAL_NAMES = ("localhost", LOOPBACK, "::1", "0.0.0.0", "::")  # noqa: S104 nothing is bound to it


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
    def lightning_starts_rest(self) -> bool | None:
        """Whether each node has one process, which is to start those of the other devices; None if that isn't known."""
        if self.launcher in (LIGHTNING, TORCHRUN):
            return False
        return None if self.processes_per_node is None else self.processes_per_node == 1


NODE_COUNT = "AZUREML_NODE_COUNT"
MASTER_ADDRESS, MASTER_PORT = "MASTER_ADDR", "MASTER_PORT"
# one set of an MPI each: rank, size, rank on the node, processes on the node
OPEN_MPI = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")
HYDRA = ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
BATCH_MASTER = "AZ_BATCH_MASTER_NODE"  # ADDRESS:PORT, of jobs on several nodes
BATCHAI_MASTER = "AZ_BATCHAI_MPI_MASTER_NODE"  # an address; may be localhost (hi-ml PR #588)
TORCHELASTIC_RUN_ID = "TORCHELASTIC_RUN_ID"
SLURM_TASKS = "SLURM_STEP_NUM_TASKS"  # processes that srun has started together
SPAWNED_BY = "LIGHTNING_APP_SPAWNED_BY"  # PID:NODES, set by a process of ours that lets Lightning start the others
GLOO_INTERFACES = "GLOO_SOCKET_IFNAME"  # whole names, with commas between them

DEFAULT_PORT = 6105  # Azure ML's own choice where it sets one


def read_number(environment: Mapping[str, str], name: str) -> int | None:
    """The variable as a whole number of at least 0; None where it isn't set.

    Raises:
        LaunchError: It is set to something else.
    """
    text = environment.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal():
        raise LaunchError(f"{name} is {text!r}; expected a whole number, as the launcher sets it")
    return int(text)


def read_numbers(environment: Mapping[str, str], *names: str) -> list[int] | None:
    """All of these variables; None unless each is set.

    Raises:
        LaunchError: One is set to something that is no whole number.
    """
    found = [value for value in (read_number(environment, name) for name in names) if value is not None]
    return found if len(found) == len(names) else None
