"""The place of a process among the others."""

from dataclasses import dataclass

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
    def leaves_the_rest_to_lightning(self) -> bool | None:
        """Whether each node has one process, which is to start those of the other devices; None if that isn't known."""
        if self.launcher in (LIGHTNING, TORCHRUN):
            return False
        return None if self.processes_per_node is None else self.processes_per_node == 1
