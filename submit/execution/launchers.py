"""The variables that Azure ML sets for each process of a job, by launcher.

Source: Azure ML's guide to distributed training on GPUs (SDK v1), 2025.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PORT = 6105  # Azure ML's own; a rehearsal takes a free one


@dataclass(frozen=True)
class ProcessRank:
    """Where a process of a job runs: node and number on it, of how many nodes with how many processes each."""

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
    """In the order of the ranks."""
    for node in range(nodes):
        for local_rank in range(processes_per_node):
            yield ProcessRank(node, local_rank, nodes, processes_per_node)


def variables(launcher: str, place: ProcessRank, address: str, port: int = PORT) -> Mapping[str, str]:
    """What the launcher sets for the process; ``address`` and ``port`` are where rank 0 listens."""
    common = {"AZUREML_NODE_COUNT": place.nodes, "AZUREML_PROCESS_NAME": f"rank_{place.rank}"}
    own = _mpi(place, address, port) if launcher == "mpi" else _pytorch(place, address, port)
    return {name: str(value) for name, value in (common | own).items()}


def _pytorch(place: ProcessRank, address: str, port: int) -> dict[str, str | int]:
    return {
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "WORLD_SIZE": place.processes,
        "NODE_RANK": place.node,
        "RANK": place.rank,
        "LOCAL_RANK": place.local_rank,
    }


def _mpi(place: ProcessRank, address: str, port: int) -> dict[str, str | int]:
    # neither MASTER_ADDR nor RANK; and Open MPI's NODE_RANK is a rank on the node
    own: dict[str, str | int] = {
        "OMPI_COMM_WORLD_RANK": place.rank,
        "OMPI_COMM_WORLD_SIZE": place.processes,
        "OMPI_COMM_WORLD_LOCAL_RANK": place.local_rank,
        "OMPI_COMM_WORLD_LOCAL_SIZE": place.processes_per_node,
        "OMPI_COMM_WORLD_NODE_RANK": place.local_rank,
        "AZ_BATCHAI_MPI_MASTER_NODE": address,
    }
    # Azure ML names the port on several nodes; on one it leaves the choice to the training
    return own | {"AZ_BATCH_MASTER_NODE": f"{address}:{port}"}
