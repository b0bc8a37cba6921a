"""Processes that Open MPI has started in an Azure ML job, as Lightning's Trainer sees them.

Source of the variables: Azure ML's guide to distributed training on GPUs (SDK v1), and hi-ml PR #588 for
``AZ_BATCHAI_MPI_MASTER_NODE`` being ``localhost``.
"""

import os
from collections.abc import Mapping

from lightning_fabric.plugins import ClusterEnvironment

_MASTER_PORT = 6105  # Azure ML's own choice where it sets one


class AzureMLEnvironment(ClusterEnvironment):
    """A process for each device, started by MPI; where it doesn't ``detect`` one, Lightning's own environments serve.

    Azure ML sets neither MASTER_ADDR nor RANK for such processes.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        super().__init__()
        self._environment = environment

    @staticmethod
    def detect() -> bool:
        return "OMPI_COMM_WORLD_SIZE" in os.environ and "RANK" not in os.environ

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        address = self._environment.get("AZ_BATCH_MASTER_NODE", "").partition(":")[0]
        return address or self._environment.get("AZ_BATCHAI_MPI_MASTER_NODE", "") or "127.0.0.1"

    @property
    def main_port(self) -> int:
        return int(self._environment.get("AZ_BATCH_MASTER_NODE", "").partition(":")[2] or _MASTER_PORT)

    def world_size(self) -> int:
        return self._number("SIZE")

    def set_world_size(self, size: int) -> None:
        """Not ours to set: MPI has started as many processes as there are."""

    def global_rank(self) -> int:
        return self._number("RANK")

    def set_global_rank(self, rank: int) -> None:
        """Not ours to set, see ``set_world_size``."""

    def local_rank(self) -> int:
        return self._number("LOCAL_RANK")

    def node_rank(self) -> int:
        # OMPI_COMM_WORLD_NODE_RANK is something else: the rank among the processes of a node
        return self.global_rank() // self._number("LOCAL_SIZE")

    def _number(self, name: str) -> int:
        return int(self._environment[f"OMPI_COMM_WORLD_{name}"])
