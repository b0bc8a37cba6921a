"""How a process was started: the launcher, the ranks, and the environment variables from which they are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lightning_app.errors import LaunchError

# launchers
MPI, PYTORCH, TORCHRUN, LIGHTNING, NO_LAUNCHER = "MPI", "PyTorch", "torchrun", "Lightning", "none"

LOOPBACK = "127.0.0.1"
LOCAL_NAMES = ("localhost", LOOPBACK, "::1", "0.0.0.0", "::")  # noqa: S104 nothing is bound to it
DEFAULT_PORT = 6105  # the one that Azure ML sets


@dataclass(frozen=True)
class Launch:
    """Who started this process, its ranks, and where rank 0 listens.

    Args:
        launcher: MPI, PyTorch (Azure ML's own launcher), torchrun, Lightning (this program started the process), or
            none.
        rank: Rank among the processes that the launcher started.
        local_rank: Rank on the node.
        world_size: Number of processes that the launcher started.
        nodes: Number of nodes; None where the launcher doesn't set it.
        address: Host of rank 0; None where rank 0 must be on this node.
        port: Port of rank 0; None where none has been chosen.
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
        # not from OMPI_COMM_WORLD_NODE_RANK, which is a rank among the processes of a node
        return 0 if self.processes_per_node is None else self.rank // self.processes_per_node

    @property
    def lightning_starts_rest(self) -> bool | None:
        """Whether each node has one process, and Lightning starts one for each further device; None if not known."""
        if self.launcher in (LIGHTNING, TORCHRUN):
            return False
        return None if self.processes_per_node is None else self.processes_per_node == 1


class MpiVariables(NamedTuple):
    """The names of an MPI implementation's variables."""

    rank: str
    size: str
    local_rank: str
    local_size: str


OPEN_MPI = MpiVariables(
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"
)
HYDRA = MpiVariables("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")  # of MPICH and Intel MPI

# set by PyTorch's launchers
MASTER_ADDR, MASTER_PORT = "MASTER_ADDR", "MASTER_PORT"
TORCHELASTIC_RUN_ID = "TORCHELASTIC_RUN_ID"  # by torchrun only

# set by Azure ML
AZUREML_NODE_COUNT = "AZUREML_NODE_COUNT"
AZ_BATCH_MASTER_NODE = "AZ_BATCH_MASTER_NODE"  # HOST:PORT of rank 0, in jobs on several nodes
AZ_BATCHAI_MPI_MASTER_NODE = "AZ_BATCHAI_MPI_MASTER_NODE"  # host of rank 0; may be localhost (hi-ml PR #588)

SLURM_STEP_NUM_TASKS = "SLURM_STEP_NUM_TASKS"  # set by srun: the number of processes that it started
GLOO_SOCKET_IFNAME = "GLOO_SOCKET_IFNAME"  # names of network interfaces, separated by commas
STARTED_BY = "LIGHTNING_APP_STARTED_BY"  # PID of the rehearsal that has started this process
SPAWNED_BY = "LIGHTNING_APP_SPAWNED_BY"  # PID:NODES, set by this program's process in which Lightning starts others


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
    """The variables as whole numbers; None unless all of them are set.

    Raises:
        LaunchError: One is set to something that isn't a whole number.
    """
    values = [value for value in (read_number(environment, name) for name in names) if value is not None]
    return values if len(values) == len(names) else None
