"""The processes of an Azure ML job, as Lightning's Trainer sees them."""

import os

import torch
from lightning_fabric.plugins import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import find_free_network_port
from pytorch_lightning.utilities import rank_zero_only

from lightning_app.distributed.checks import match_trainer, require_gloo_interfaces, require_resolvable
from lightning_app.distributed.detect import detect_launch, read_spawner
from lightning_app.distributed.launch import ALONE, LIGHTNING, LOOPBACK, SPAWNED_BY


class AzureMLEnvironment(ClusterEnvironment):
    """For ``Trainer(strategy="ddp", num_nodes=..., devices=..., plugins=[AzureMLEnvironment()])``, in a job or not.

    It knows a process for each device or one for each node, started by MPI, by Azure ML's PyTorch launcher or by
    torchrun; and the process that nobody started as one of several. Where a node has one process, Lightning starts
    those of the other devices. Rank-zero-only functions are right from here on, and not only from the Trainer on.

    With ``strategy="auto"`` a Trainer of one device doesn't ask it anything; so name the strategy.

    Raises:
        LaunchError: The launcher's variables contradict one another; from ``validate_settings`` also: the Trainer
            counts on other processes than were started.
    """

    def __init__(self) -> None:
        super().__init__()
        self._launch = detect_launch()
        self._rank, self._world_size = self._launch.rank, self._launch.world_size
        self._port = self._launch.port
        set_rank_zero(self._rank)

    @staticmethod
    def detect() -> bool:
        return detect_launch().launcher != ALONE

    @property
    def creates_processes_externally(self) -> bool:
        spawner = read_spawner(os.environ)
        if spawner is not None and spawner[0] == os.getpid() and "LOCAL_RANK" in os.environ:
            return True  # Lightning has started the others already
        return not self._launch.lightning_starts_rest

    @property
    def main_address(self) -> str:
        return self._launch.address or LOOPBACK

    @property
    def main_port(self) -> int:
        if self._port is None:
            self._port = find_free_network_port()
        return self._port

    def world_size(self) -> int:
        return self._world_size

    def set_world_size(self, size: int) -> None:
        """Counts where Lightning starts processes; where all are started, their launcher has said it."""
        if self._launch.lightning_starts_rest or self._launch.launcher == LIGHTNING:
            self._world_size = size

    def global_rank(self) -> int:
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        """As ``set_world_size``."""
        if self._launch.lightning_starts_rest or self._launch.launcher == LIGHTNING:
            self._rank = rank
            set_rank_zero(rank)

    def local_rank(self) -> int:
        return self._launch.local_rank

    def node_rank(self) -> int:
        return self._launch.node_rank

    def require_agreement(self, num_nodes: int, num_devices: int) -> None:
        """Raises LaunchError unless the processes that were started are those that the Trainer counts on."""
        self._launch = match_trainer(self._launch, num_nodes, num_devices)
        require_resolvable(self._launch)
        if num_nodes * num_devices > 1 and not torch.cuda.is_available():
            require_gloo_interfaces()

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Called by Lightning before it starts processes, and before any process waits for another one."""
        self.require_agreement(num_nodes, num_devices)
        if self._launch.lightning_starts_rest and not self.creates_processes_externally:
            os.environ.pop("LOCAL_RANK", None)  # a stray one: Lightning #8998
            os.environ[SPAWNED_BY] = f"{os.getpid()}:{num_nodes}"


def set_rank_zero(rank: int) -> None:
    """Only rank 0 does what is for rank 0 alone; Lightning looks at RANK and LOCAL_RANK, which may be strays."""
    setattr(rank_zero_only, "rank", rank)  # noqa: B010 mypy sees no such attribute
