"""A training on a cluster of ``tests.support.namespaces``, started in each way in which Azure ML starts a job.

The variables are those that Azure ML's guide to distributed training (SDK v1) names for each launcher; the launchers
are the real ones.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import environment
from tests.support.namespaces import INTERFACE, Cluster, Node, Process
from tests.support.programs import require_program

PORT = 6105  # Azure ML's own
MODULE = ("-m", "lightning_app.fit")
Variables = Mapping[str, str]


@dataclass(frozen=True)
class Training:
    """What is to run: on each node of the cluster, ``processes`` processes with the same arguments.

    Args:
        cluster: Where.
        processes: Processes of the training on each node, whoever starts them.
        arguments: Of ``python -m lightning_app.fit``, without nodes, devices and accelerator.
        variables: For each process, beside those of the launcher.
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
        """What comes after ``python``, and after ``torchrun``."""
        place = ("--trainer.num_nodes", str(self.nodes), "--trainer.devices", str(self.processes))
        return [*MODULE, "--trainer.accelerator", "cpu", *place, *self.arguments]

    @property
    def command(self) -> list[str]:
        return [sys.executable, *self.python_arguments]


def start(
    shape: str, cluster: Cluster, processes: int, arguments: Sequence[str], variables: Variables | None = None
) -> list[Process]:
    """Starts a training of one of the ``SHAPES``; all that was started by hand, in the order of the nodes.

    Under MPI that is one ``mpirun`` for all nodes.
    """
    return SHAPES[shape](Training(cluster, processes, arguments, variables or {}))


def finish(processes: Sequence[Process]) -> None:
    """All must end, and with status 0."""
    for process in processes:
        status = process.finish().status
        assert status == 0, f"exit status {status}\n" + "\n".join(each.told() for each in processes)


def trainers(node: Node) -> list[int]:
    """The processes on a node that train, whoever has started them: neither launchers nor what training starts."""
    return [pid for pid in node.pids() if _trains(_arguments(pid))]


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
    """Inside a job of one process on each node, as Azure ML's own examples have it."""
    program = str(Path(sys.executable).with_name("torchrun"))
    place = [f"--nnodes={training.nodes}", f"--nproc_per_node={training.processes}"]
    master = [f"--master_addr={training.cluster.address}", f"--master_port={PORT}"]
    return [
        node.start(
            [program, *place, f"--node_rank={node.number}", *master, *training.python_arguments],
            _pytorch(training, node, 0, 1),
        )
        for node in training.cluster.nodes
    ]


def none(training: Training) -> list[Process]:
    """A process that nobody has started as one of several."""
    return [node.start(training.command, training.variables) for node in training.cluster.nodes]


SHAPES: Mapping[str, Callable[[Training], list[Process]]] = {
    each.__name__: each
    for each in (mpi_for_devices, mpi_for_nodes, pytorch_for_devices, pytorch_for_nodes, torchrun, none)
}


def _mpirun(training: Training, slots: int) -> Process:
    """One for all nodes, on the first of them, as Azure ML starts it."""
    cluster = training.cluster
    hosts = ",".join(f"{node.name}:{slots}" for node in cluster.nodes)
    variables = _mpi(training)
    # not --mca for the processes' own traffic (btl): they are joined by gloo and never call MPI
    network = ["--mca", "plm_rsh_agent", str(cluster.remote_shell), "--mca", "oob_tcp_if_include", INTERFACE]
    forwarded = [argument for name in _forwarded(variables) for argument in ("-x", name)]
    return cluster.nodes[0].start(
        [
            require_program("mpirun", "openmpi-bin"),
            *("--allow-run-as-root", "--oversubscribe", "--bind-to", "none"),
            *network,
            *forwarded,
            *("--host", hosts, "-np", str(slots * training.nodes)),
            *training.command,
        ],
        variables,
    )


def _forwarded(variables: Variables) -> list[str]:
    """What mpirun is to hand to the other nodes, where nothing of the tests' own environment is."""
    return [*variables, *(name for name in ("PYTHONPATH", "OMP_NUM_THREADS") if name in environment())]


def _mpi(training: Training) -> Variables:
    """Neither MASTER_ADDR nor RANK is among these; on one node the port is the training's own choice."""
    address = training.cluster.address
    common = {"AZUREML_NODE_COUNT": str(training.nodes), "AZ_BATCHAI_MPI_MASTER_NODE": address}
    if training.nodes == 1:
        return {**common, "AZ_BATCHAI_MPI_MASTER_NODE": "localhost", **training.variables}
    return {**common, "AZ_BATCH_MASTER_NODE": f"{address}:{PORT}", **training.variables}


def _pytorch(training: Training, node: Node, local_rank: int, processes: int) -> Variables:
    """Of the process with this rank on its node, where the launcher starts ``processes`` on each."""
    rank = node.number * processes + local_rank
    own = {
        "AZUREML_NODE_COUNT": training.nodes,
        "MASTER_ADDR": training.cluster.address,
        "MASTER_PORT": PORT,
        "WORLD_SIZE": training.nodes * processes,
        "NODE_RANK": node.number,
        "RANK": rank,
        "LOCAL_RANK": local_rank,
    }
    return {name: str(value) for name, value in own.items()} | dict(training.variables)


def _trains(arguments: Sequence[str]) -> bool:
    """Whether it is ``python [-u] -m lightning_app.fit ...``; launchers have that among their arguments, further on."""
    name, module = MODULE
    return name in arguments[1:3] and module == arguments[arguments.index(name) + 1]


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []  # it has ended
