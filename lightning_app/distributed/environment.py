"""The processes of an Azure ML job, as Lightning's Trainer sees them."""

import os

import torch
from lightning_fabric.plugins import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import find_free_network_port
from pytorch_lightning.utilities import rank_zero_only

from lightning_app.distributed.checks import match_trainer, require_gloo_interfaces, require_resolvable_address
from lightning_app.distributed.detect import detect_launch, read_spawner
from lightning_app.distributed.launch import LIGHTNING, LOOPBACK, NO_LAUNCHER, SPAWNED_BY


class AzureMLEnvironment(ClusterEnvironment):
    """For ``Trainer(strategy="ddp", num_nodes=..., devices=..., plugins=[AzureMLEnvironment()])``, in a job or not.

    It supports one process per device and one process per node, started by MPI, by Azure ML's PyTorch launcher or by
    torchrun, and a process without a launcher. Where a node has one process, Lightning starts those of the other
    devices. As soon as it is created, ``rank_zero_only`` functions run on rank 0 only, even before there is a Trainer.

    Name the strategy: with ``strategy="auto"`` and one device, a Trainer ignores its cluster environment.

    Raises:
        LaunchError: The launcher's variables conflict with one another; from ``validate_settings`` also: the Trainer
            expects other processes than were started.
    """

    def __init__(self) -> None:
        super().__init__()
        self._launch = detect_launch()
        self._rank, self._world_size = self._launch.rank, self._launch.world_size
        self._port = self._launch.port
        set_rank_zero(self._rank)

    @staticmethod
    def detect() -> bool:
        return detect_launch().launcher != NO_LAUNCHER

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
        """Has an effect only where Lightning starts processes; otherwise the launcher has set the number."""
        if self._launch.lightning_starts_rest or self._launch.launcher == LIGHTNING:
            self._world_size = size

    def global_rank(self) -> int:
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        """Has an effect only where Lightning starts processes; otherwise the launcher has set the rank."""
        if self._launch.lightning_starts_rest or self._launch.launcher == LIGHTNING:
            self._rank = rank
            set_rank_zero(rank)

    def local_rank(self) -> int:
        return self._launch.local_rank

    def node_rank(self) -> int:
        return self._launch.node_rank

    def require_match(self, num_nodes: int, num_devices: int) -> None:
        """Raises LaunchError unless the Trainer expects the processes that were started, and they can connect."""
        self._launch = match_trainer(self._launch, num_nodes, num_devices)
        require_resolvable_address(self._launch)
        if num_nodes * num_devices > 1 and not torch.cuda.is_available():
            require_gloo_interfaces()

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Called by Lightning before it starts processes, and before any process waits for another one."""
        self.require_match(num_nodes, num_devices)
        if self._launch.lightning_starts_rest and not self.creates_processes_externally:
            os.environ.pop("LOCAL_RANK", None)  # with it, Lightning would start no processes (Lightning #8998)
            os.environ[SPAWNED_BY] = f"{os.getpid()}:{num_nodes}"


def set_rank_zero(rank: int) -> None:
    """Sets the rank for ``rank_zero_only``, which Lightning reads from RANK and LOCAL_RANK; those may be wrong."""
    setattr(rank_zero_only, "rank", rank)  # noqa: B010 mypy sees no such attribute
