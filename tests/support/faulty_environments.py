"""Faulty environments of processes that people have reported or documents recommend."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from submit.execution.launchers import ProcessRank, process_ranks, variables

THIS_NODE = "127.0.0.2"  # an address of this machine that isn't refused, as localhost is, on several nodes
PORT = 6105  # in the table; a training in a test gets a free one
FOLDER = "FOLDER"  # in the table; stands for the test's folder, which has a package mpi4py
Variables = Mapping[str, str]


def _external_address() -> str:
    """The address of this machine's default route; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))  # reserved for documentation, so only the default route leads there
        return str(probe.getsockname()[0])


EXTERNAL_ADDRESS = _external_address()


@dataclass(frozen=True)
class Case:
    """A faulty environment.

    Args:
        source: Where it was reported or documented.
        processes: The environment of each process of the training; of one process if it is refused or trains alone.
        finding: Part of the doctor's finding.
        is_refused: Whether training refuses to start, and the doctor's exit status is 1.
        nodes: --trainer.num_nodes.
        devices: --trainer.devices.
        mpirun: Number of processes that a real mpirun starts, with ``added`` in its environment; 0 for no mpirun.
        added: Variables that are wrong there.
        needs_machine: Whether it is found on the machine only, and not in an environment file.
    """

    source: str
    processes: Sequence[Variables]
    finding: str
    is_refused: bool = False
    nodes: int = 1
    devices: int = 1
    mpirun: int = 0
    added: Variables | None = None
    needs_machine: bool = False

    @property
    def last_process(self) -> Variables:
        return self.processes[-1]

    @property
    def flags(self) -> list[str]:
        return ["--num_nodes", str(self.nodes), "--devices", str(self.devices)]


def azureml(
    launcher: str, nodes: int, processes: int, rank: int, address: str = THIS_NODE, **further: str
) -> Variables:
    """The variables that Azure ML sets for a rank, and ``further``; an empty value removes a variable."""
    process: ProcessRank = list(process_ranks(nodes, processes))[rank]
    merged = {**variables(launcher, process, address, PORT), **further}
    return {name: value for name, value in merged.items() if value}


def all_ranks(launcher: str, nodes: int, processes: int, address: str = THIS_NODE, **further: str) -> list[Variables]:
    return [azureml(launcher, nodes, processes, rank, address, **further) for rank in range(nodes * processes)]


def one_rank(launcher: str, nodes: int, processes: int, rank: int, **further: str) -> list[Variables]:
    return [azureml(launcher, nodes, processes, rank, **further)]


CASES = {
    "MASTER_ADDR is spelled MASTER_ADDRESS": Case(
        "Lightning #13639",
        [{"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDRESS": "10.0.0.4", "MASTER_PORT": "6105"}],
        "MASTER_ADDR is missing (MASTER_ADDRESS is set",
        is_refused=True,
        devices=2,
    ),
    "MPI of size 1 on a node of two": Case(
        "azure-docs #93998",
        one_rank("mpi", 1, 1, 0, AZUREML_NODE_COUNT="2"),
        "the job has 2 nodes (AZUREML_NODE_COUNT), and MPI has started processes on 1",
        is_refused=True,
    ),
    "AZ_BATCHAI_MPI_MASTER_NODE=localhost on two nodes": Case(
        "hi-ml PR #588",
        one_rank("mpi", 2, 1, 1, AZ_BATCH_MASTER_NODE="", AZ_BATCHAI_MPI_MASTER_NODE="localhost"),
        "the address of rank 0 isn't set",
        is_refused=True,
        nodes=2,
    ),
    "WORLD_SIZE is the number of nodes": Case(
        "Lightning #15874",
        one_rank("pytorch", 2, 2, 3, WORLD_SIZE="2"),
        "rank 3 of 2 processes: there is no such rank",
        is_refused=True,
        nodes=2,
        devices=2,
    ),
    "the same on the first node": Case(
        "Lightning #15874",
        one_rank("pytorch", 2, 2, 1, WORLD_SIZE="2"),
        "local rank 1 of 1 processes on a node (2 on 2 nodes): there is no such local rank",
        is_refused=True,
        nodes=2,
        devices=2,
    ),
    "WORLD_SIZE is the number of nodes, and there is no RANK": Case(
        "Lightning #15874",
        [{"MASTER_ADDR": "10.0.0.4", "MASTER_PORT": "6105", "WORLD_SIZE": "2", "NODE_RANK": "1"}],
        "WORLD_SIZE is 2, and RANK is missing",
        is_refused=True,
        nodes=2,
        devices=2,
    ),
    "RANK is not a number": Case(
        "torch.distributed's manual",
        one_rank("pytorch", 1, 2, 1, RANK="rank_1"),
        "RANK is 'rank_1'",
        is_refused=True,
        devices=2,
    ),
    "MASTER_PORT above 65535": Case(
        "torch.distributed's manual",
        one_rank("pytorch", 1, 2, 1, MASTER_PORT="65536"),
        "expected one from 1 to 65535",
        is_refused=True,
        devices=2,
    ),
    "--trainer.num_nodes isn't given": Case(
        "Lightning #13639", one_rank("mpi", 2, 2, 3), "give --trainer.num_nodes 2", is_refused=True, devices=2
    ),
    "fewer processes than devices": Case(
        "azureml-cheatsheets: no process_count",
        one_rank("pytorch", 1, 2, 1),
        "give --trainer.devices 2",
        is_refused=True,
        devices=4,
    ),
    "two nodes and no launcher": Case(
        "Lightning #14014",
        [{"NODE_RANK": "1", "MASTER_ADDR": "10.0.0.4", "MASTER_PORT": "6105"}],
        "no launcher has started this process as one of several",
        is_refused=True,
        nodes=2,
    ),
    "a process count that isn't that of all nodes": Case(
        "Azure ML's guide: process_count",
        one_rank("pytorch", 1, 3, 2, AZUREML_NODE_COUNT="2"),
        "3 processes on 2 nodes",
        is_refused=True,
        nodes=2,
        devices=3,
    ),
    "MPI's rank isn't passed on": Case(
        "mpirun's manual: -x",
        one_rank("mpi", 1, 2, 1, OMPI_COMM_WORLD_RANK=""),
        "OMPI_COMM_WORLD_RANK is missing",
        is_refused=True,
        devices=2,
    ),
    "a rank without the number of processes": Case(
        "Lightning #5651",
        [{"RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.4"}],
        "RANK is 1, and WORLD_SIZE is missing",
        is_refused=True,
    ),
    "srun has started four": Case(
        "lightning_fabric's SLURMEnvironment",
        [{"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}],
        "srun has started 4 tasks",
        is_refused=True,
    ),
    "an address that can't be resolved": Case(
        "torch.distributed's manual",
        one_rank("pytorch", 2, 1, 1, MASTER_ADDR="no-such-host.invalid"),
        "no-such-host.invalid, can't be resolved on this node",
        is_refused=True,
        nodes=2,
        needs_machine=True,
    ),
    "GLOO_SOCKET_IFNAME names no interface": Case(
        "torch.distributed's manual",
        [{"GLOO_SOCKET_IFNAME": "eth77"}],
        "GLOO_SOCKET_IFNAME names eth77, and this node has no such interface",
        is_refused=True,
        devices=2,
        needs_machine=True,
    ),
    "the same in a training of one process": Case(
        "torch.distributed's manual",
        [{"GLOO_SOCKET_IFNAME": "eth77"}],
        "GLOO_SOCKET_IFNAME names eth77, and this node has no such interface",
        needs_machine=True,
    ),
    "LOCAL_RANK where Lightning is to start processes": Case(
        "Lightning #8998", [{"LOCAL_RANK": "0"}], "LOCAL_RANK is 0, and no launcher has started", devices=2
    ),
    "LOCAL_RANK in a job of one process per node": Case(
        "Lightning #8998",
        one_rank("mpi", 1, 1, 0, LOCAL_RANK="0"),
        "LOCAL_RANK is 0, and no launcher has started",
        devices=2,
    ),
    "a lone NODE_RANK": Case("Lightning #5651", [{"NODE_RANK": "1"}], "NODE_RANK=1 without WORLD_SIZE"),
    "a lone RANK": Case("Lightning #5651", [{"RANK": "1"}], "RANK=1 without WORLD_SIZE"),
    "NODE_RANK is MPI's rank": Case(
        "azure-docs PR #95788",
        [azureml("mpi", 1, 2, rank, NODE_RANK=str(rank)) for rank in range(2)],
        "NODE_RANK is 1, and rank 1 with 2 on each node is on node 0",
        devices=2,
    ),
    "MPI of size 1 in a PyTorch job": Case(
        "azure-docs #93998",
        all_ranks("pytorch", 1, 2, OMPI_COMM_WORLD_RANK="0", OMPI_COMM_WORLD_SIZE="1"),
        "OMPI_COMM_WORLD_SIZE is 1, and PyTorch has started 2 processes",
        devices=2,
    ),
    "AZ_BATCHAI_MPI_MASTER_NODE=localhost beside an address": Case(
        "hi-ml PR #588",
        all_ranks("mpi", 2, 1, AZ_BATCHAI_MPI_MASTER_NODE="localhost"),
        "AZ_BATCHAI_MPI_MASTER_NODE is localhost on 2 nodes",
        nodes=2,
    ),
    "a MASTER_ADDR other than Azure ML's": Case(
        "hi-ml PR #588",
        all_ranks("mpi", 2, 1, MASTER_ADDR="10.9.9.9"),
        "MASTER_ADDR is 10.9.9.9, and Azure ML's address of rank 0 is 127.0.0.2",
        nodes=2,
    ),
    "a script's RANK under mpirun": Case(
        "Lightning #13639",
        one_rank("mpi", 1, 2, 1, RANK="0", AZUREML_NODE_COUNT=""),
        "RANK is 0, and MPI's variables say rank 1 of 2",
        devices=2,
        mpirun=2,
        added={"RANK": "0"},
    ),
    "WORLD_SIZE is the number of nodes under mpirun": Case(
        "Lightning #15874",
        one_rank("mpi", 1, 2, 1, WORLD_SIZE="1", AZUREML_NODE_COUNT=""),
        "WORLD_SIZE is 1 (the number of nodes; it must be that of processes)",
        devices=2,
        mpirun=2,
        added={"WORLD_SIZE": "1"},
    ),
    "ranks that alternate between nodes": Case(
        "mpirun's manual: --map-by node",
        one_rank("mpi", 2, 2, 1, OMPI_COMM_WORLD_LOCAL_RANK="0"),
        "rank 1 has local rank 0 of 2",
        is_refused=True,
        nodes=2,
        devices=2,
    ),
    "more nodes than the job has": Case(
        "a job in a job's environment",
        all_ranks("mpi", 2, 1, AZUREML_NODE_COUNT="1"),
        "AZUREML_NODE_COUNT is 1, and MPI has started processes on 2 nodes",
        nodes=2,
    ),
    "SLURM's variables": Case(
        "lightning_fabric's SLURMEnvironment",
        [{"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"}],
        "SLURM_NTASKS, SLURM_JOB_ID set: variables of SLURM",
    ),
    "MASTER_ADDRESS without a launcher": Case(
        "Lightning #13639", [{"MASTER_ADDRESS": "10.0.0.4"}], "MASTER_ADDRESS is set, which no program reads"
    ),
    "MASTER_PORT above 65535 without a launcher": Case(
        "torch.distributed's manual", [{"MASTER_PORT": "99999"}], "MASTER_PORT is '99999', and a port"
    ),
    "NCCL_SOCKET_IFNAME=lo on two nodes": Case(
        "azure-docs PR #95788",
        all_ranks("pytorch", 2, 1, EXTERNAL_ADDRESS, NCCL_SOCKET_IFNAME="lo"),
        "NCCL_SOCKET_IFNAME is lo on 2 nodes",
        nodes=2,
    ),
    "mpi4py is installed": Case(
        "Lightning #20049", [{"PYTHONPATH": FOLDER}], "mpi4py is installed", needs_machine=True
    ),
}
