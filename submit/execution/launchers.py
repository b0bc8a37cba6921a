"""The variables that Azure ML sets for each process of a job, by launcher.

Source: Azure ML's guide to distributed training on GPUs (SDK v1), 2025.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PORT = 6105  # Azure ML's own port; a rehearsal uses a free one


@dataclass(frozen=True)
class ProcessRank:
    """The rank of a process: its node and its number there, of how many nodes with how many processes each."""

    node: int
    local_rank: int
    nodes: int
    processes_per_node: int

    @property
    def rank(self) -> int:
        return self.node * self.processes_per_node + self.local_rank

    @property
    def processes(self) -> int:
        return self.nodes * self.processes_per_node


def process_ranks(nodes: int, processes_per_node: int) -> Iterator[ProcessRank]:
    """All processes in the order of their ranks."""
    for node in range(nodes):
        for local_rank in range(processes_per_node):
            yield ProcessRank(node, local_rank, nodes, processes_per_node)


def variables(launcher: str, rank: ProcessRank, address: str, port: int = PORT) -> Mapping[str, str]:
    """The variables that the launcher sets for a process; rank 0 listens at ``address`` and ``port``."""
    common = {"AZUREML_NODE_COUNT": rank.nodes, "AZUREML_PROCESS_NAME": f"rank_{rank.rank}"}
    own = _mpi(rank, address, port) if launcher == "mpi" else _pytorch(rank, address, port)
    return {name: str(value) for name, value in (common | own).items()}


def _pytorch(rank: ProcessRank, address: str, port: int) -> dict[str, str | int]:
    return {
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "WORLD_SIZE": rank.processes,
        "NODE_RANK": rank.node,
        "RANK": rank.rank,
        "LOCAL_RANK": rank.local_rank,
    }


def _mpi(rank: ProcessRank, address: str, port: int) -> dict[str, str | int]:
    # MPI sets neither MASTER_ADDR nor RANK, and Open MPI's NODE_RANK is a rank on the node
    own: dict[str, str | int] = {
        "OMPI_COMM_WORLD_RANK": rank.rank,
        "OMPI_COMM_WORLD_SIZE": rank.processes,
        "OMPI_COMM_WORLD_LOCAL_RANK": rank.local_rank,
        "OMPI_COMM_WORLD_LOCAL_SIZE": rank.processes_per_node,
        "OMPI_COMM_WORLD_NODE_RANK": rank.local_rank,
        "AZ_BATCHAI_MPI_MASTER_NODE": address,
    }
    # Azure ML sets the port for several nodes; on one node the training chooses it
    return own | {"AZ_BATCH_MASTER_NODE": f"{address}:{port}"}
