"""Starts a training on a cluster of ``tests.support.namespaces``, in each way in which Azure ML starts a job.

The launchers are real; Azure ML's variables for each are those of its guide to distributed training (SDK v1).
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import environment
from tests.support.namespaces import INTERFACE, Cluster, Node
from tests.support.node_process import Process
from tests.support.programs import require_mpirun

PORT = 6105  # as Azure ML sets it
MODULE = ("-m", "lightning_app.fit")
Variables = Mapping[str, str]


@dataclass(frozen=True)
class Training:
    """A training with ``processes`` processes on each node of the cluster.

    Args:
        cluster: Its nodes.
        processes: Processes on each node, including those that Lightning starts.
        arguments: For ``python -m lightning_app.fit``, without nodes, devices and accelerator.
        variables: For each process, in addition to those of the launcher.
    """

    cluster: Cluster
    processes: int
    arguments: Sequence[str]
    variables: Variables

    @property
    def nodes(self) -> int:
        return len(self.cluster.nodes)

    @property
    def python_arguments(self) -> list[str]:
        """For ``python`` and for ``torchrun``."""
        size = ("--trainer.num_nodes", str(self.nodes), "--trainer.devices", str(self.processes))
        return [*MODULE, "--trainer.accelerator", "cpu", *size, *self.arguments]

    @property
    def command(self) -> list[str]:
        return [sys.executable, *self.python_arguments]


def start(
    shape: str, cluster: Cluster, processes: int, arguments: Sequence[str], variables: Variables | None = None
) -> list[Process]:
    """Starts a training in one of the ``SHAPES``; returns the commands, by node, or one ``mpirun`` for all nodes."""
    return SHAPES[shape](Training(cluster, processes, arguments, variables or {}))


def finish(processes: Sequence[Process]) -> None:
    """Waits for the processes; fails the test unless all exit with status 0."""
    for process in processes:
        status = process.finish().status
        assert status == 0, f"exit status {status}\n" + "\n".join(process.logs() for process in processes)


def mpi_for_devices(training: Training) -> list[Process]:
    return [_mpirun(training, training.processes)]


def mpi_for_nodes(training: Training) -> list[Process]:
    """Lightning starts the processes of the other devices."""
    return [_mpirun(training, 1)]


def pytorch_for_devices(training: Training) -> list[Process]:
    return [
        node.start(training.command, _pytorch(training, node, local_rank, training.processes))
        for node in training.cluster.nodes
        for local_rank in range(training.processes)
    ]


def pytorch_for_nodes(training: Training) -> list[Process]:
    """Lightning starts the processes of the other devices."""
    return [node.start(training.command, _pytorch(training, node, 0, 1)) for node in training.cluster.nodes]


def torchrun(training: Training) -> list[Process]:
    """In a job with one process on each node, as in Azure ML's own examples."""
    program = str(Path(sys.executable).with_name("torchrun"))
    size = [f"--nnodes={training.nodes}", f"--nproc_per_node={training.processes}"]
    master = [f"--master_addr={training.cluster.address}", f"--master_port={PORT}"]
    return [
        node.start(
            [program, *size, f"--node_rank={node.number}", *master, *training.python_arguments],
            _pytorch(training, node, 0, 1),
        )
        for node in training.cluster.nodes
    ]


def none(training: Training) -> list[Process]:
    """Without a launcher."""
    return [node.start(training.command, training.variables) for node in training.cluster.nodes]


SHAPES: Mapping[str, Callable[[Training], list[Process]]] = {
    shape.__name__: shape
    for shape in (mpi_for_devices, mpi_for_nodes, pytorch_for_devices, pytorch_for_nodes, torchrun, none)
}


def _mpirun(training: Training, slots: int) -> Process:
    """One for all nodes, on the first node, as Azure ML starts it."""
    cluster, mpirun = training.cluster, require_mpirun()
    hosts = ",".join(f"{node.name}:{slots}" for node in cluster.nodes)
    variables = _mpi(training)
    forwarded = [argument for name in _forwarded(variables) for argument in ("-x", name)]
    return cluster.nodes[0].start(
        [
            *mpirun.command(slots * training.nodes),
            *mpirun.remote_options(cluster.remote_shell, INTERFACE),
            *("--host", hosts),
            *forwarded,
            *training.command,
        ],
        variables,
    )


def _forwarded(variables: Variables) -> list[str]:
    """Variables that mpirun passes to the other nodes, which don't have the tests' own environment."""
    return [*variables, *(name for name in ("PYTHONPATH", "OMP_NUM_THREADS") if name in environment())]


def _mpi(training: Training) -> Variables:
    """Without MASTER_ADDR and RANK; on one node the training chooses the port."""
    address = training.cluster.address
    common = {"AZUREML_NODE_COUNT": str(training.nodes), "AZ_BATCHAI_MPI_MASTER_NODE": address}
    if training.nodes == 1:
        return {**common, "AZ_BATCHAI_MPI_MASTER_NODE": "localhost", **training.variables}
    return {**common, "AZ_BATCH_MASTER_NODE": f"{address}:{PORT}", **training.variables}


def _pytorch(training: Training, node: Node, local_rank: int, processes: int) -> Variables:
    """For the process with this local rank, if the launcher starts ``processes`` on each node."""
    rank = node.number * processes + local_rank
    values = {
        "AZUREML_NODE_COUNT": training.nodes,
        "MASTER_ADDR": training.cluster.address,
        "MASTER_PORT": PORT,
        "WORLD_SIZE": training.nodes * processes,
        "NODE_RANK": node.number,
        "RANK": rank,
        "LOCAL_RANK": local_rank,
    }
    return {name: str(value) for name, value in values.items()} | dict(training.variables)
