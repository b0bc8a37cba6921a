"""The launch is detected from the variables of real launchers: six shapes, and edge cases."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pytorch_lightning.utilities import rank_zero_only

from lightning_app.distributed.checks import match_trainer, require_resolvable_address
from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.environment import AzureMLEnvironment
from lightning_app.distributed.launch import LIGHTNING, MPI, NO_LAUNCHER, PYTORCH, SPAWNED_BY, TORCHRUN, Launch
from lightning_app.errors import LaunchError
from submit.execution.launchers import ProcessRank, process_ranks, variables
from tests.support.commands import ROOT, environment
from tests.support.launch_variables import LAUNCHER_VARIABLES, TORCHRUN_OF_FOUR
from tests.support.programs import DEBIAN, WHEEL, require_mpirun


def azureml(launcher: str, nodes: int, processes: int, rank: int) -> Mapping[str, str]:
    """The variables that Azure ML sets for a rank of a job whose first node is 10.0.0.4."""
    process: ProcessRank = list(process_ranks(nodes, processes))[rank]
    return variables(launcher, process, "10.0.0.4")


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Removes the variables of launchers; restores them and the rank after the test."""
    for name in LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(rank_zero_only, "rank", 0, raising=False)
    return monkeypatch


SHAPES = {
    "mpi for devices": (azureml("mpi", 2, 4, 6), Launch(MPI, 6, 2, 8, 2, "10.0.0.4", 6105), 1, False),
    "mpi for nodes": (azureml("mpi", 2, 1, 1), Launch(MPI, 1, 0, 2, 2, "10.0.0.4", 6105), 1, True),
    "pytorch for devices": (azureml("pytorch", 2, 4, 6), Launch(PYTORCH, 6, 2, 8, 2, "10.0.0.4", 6105), 1, False),
    "pytorch for nodes": (azureml("pytorch", 2, 1, 1), Launch(PYTORCH, 1, 0, 2, 2, "10.0.0.4", 6105), 1, True),
    "torchrun": (TORCHRUN_OF_FOUR, Launch(TORCHRUN, 3, 1, 4, 2, "10.0.0.4", 29500), 1, False),
    "none": ({}, Launch(NO_LAUNCHER), 0, True),
}


@pytest.mark.parametrize(("given", "launch", "node_rank", "lightning_starts_rest"), SHAPES.values(), ids=SHAPES)
def test_each_shape_is_detected(
    given: Mapping[str, str], launch: Launch, node_rank: int, lightning_starts_rest: bool
) -> None:
    found = detect_launch(given)

    assert found == launch
    assert (found.node_rank, found.lightning_starts_rest) == (node_rank, lightning_starts_rest)


@pytest.mark.parametrize("launcher", ["mpi", "pytorch"])
@pytest.mark.parametrize(("nodes", "processes"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 4)])
def test_each_process_of_a_job_detects_its_ranks(launcher: str, nodes: int, processes: int) -> None:
    for process in process_ranks(nodes, processes):
        found = detect_launch(variables(launcher, process, "10.0.0.4"))

        assert (found.rank, found.local_rank, found.node_rank) == (process.rank, process.local_rank, process.node)
        assert (found.world_size, found.nodes) == (process.processes, nodes)
        assert match_trainer(found, nodes, processes) == found


EDGE_CASES = {
    # Azure ML uses MPI to start other launchers as well (azure-docs #93998)
    "MPI of one in a PyTorch job": (
        {**azureml("pytorch", 2, 2, 3), "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        Launch(PYTORCH, 3, 1, 4, 2, "10.0.0.4", 6105),
    ),
    "torchrun in a PyTorch job of one process per node": (
        {**azureml("pytorch", 2, 1, 1), **TORCHRUN_OF_FOUR},
        Launch(TORCHRUN, 3, 1, 4, 2, "10.0.0.4", 29500),
    ),
    "localhost, and an address": (  # hi-ml PR #588
        {**azureml("mpi", 2, 2, 3), "AZ_BATCHAI_MPI_MASTER_NODE": "localhost"},
        Launch(MPI, 3, 1, 4, 2, "10.0.0.4", 6105),
    ),
    "MPI without its local sizes": (  # Hydra's; srun sets the first two only
        {"PMI_RANK": "1", "PMI_SIZE": "4", "MASTER_ADDR": "10.0.0.4"},
        Launch(MPI, 1, 0, 4, None, "10.0.0.4", 6105),
    ),
    "Intel MPI": (
        {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2", "MASTER_ADDR": "10.0.0.4"},
        Launch(MPI, 3, 1, 4, 2, "10.0.0.4", 6105),
    ),
    "an IPv6 address with a port": (
        {**azureml("mpi", 2, 1, 0), "AZ_BATCH_MASTER_NODE": "[fd00::4]:7000"},
        Launch(MPI, 0, 0, 2, 2, "fd00::4", 7000),
    ),
    "an address without a port": (
        {**azureml("mpi", 2, 1, 0), "AZ_BATCH_MASTER_NODE": "10.0.0.5", "MASTER_PORT": "7000"},
        Launch(MPI, 0, 0, 2, 2, "10.0.0.5", 7000),
    ),
    "MPI on one node": (
        {**azureml("mpi", 1, 2, 1), "AZ_BATCHAI_MPI_MASTER_NODE": "localhost", "AZ_BATCH_MASTER_NODE": ""},
        Launch(MPI, 1, 1, 2, 1, None, 6105),
    ),
    "nodes from NODE_RANK": (
        {name: value for name, value in azureml("pytorch", 2, 2, 3).items() if name != "AZUREML_NODE_COUNT"},
        Launch(PYTORCH, 3, 1, 4, 2, "10.0.0.4", 6105),
    ),
    "number of nodes not known on the first node": (
        {name: value for name, value in azureml("pytorch", 2, 2, 1).items() if name != "AZUREML_NODE_COUNT"},
        Launch(PYTORCH, 1, 1, 4, None, "10.0.0.4", 6105),
    ),
    "a PyTorch job of one process": (
        {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "LOCAL_RANK": "3"},
        Launch(PYTORCH, 0, 0, 1, 1, "localhost", 6105),
    ),
    "empty variables": ({"RANK": "", "WORLD_SIZE": " ", "OMPI_COMM_WORLD_SIZE": ""}, Launch(NO_LAUNCHER)),
    "left-over variables": (
        {"RANK": "1", "NODE_RANK": "1", "LOCAL_RANK": "1", "MASTER_PORT": "none"},
        Launch(NO_LAUNCHER),
    ),
    "left-over variables of another training": (
        {SPAWNED_BY: "1:2", "NODE_RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "1"},
        Launch(NO_LAUNCHER),
    ),
}


@pytest.mark.parametrize(("given", "launch"), EDGE_CASES.values(), ids=EDGE_CASES)
def test_edge_cases_are_detected(given: Mapping[str, str], launch: Launch) -> None:
    assert detect_launch(given) == launch


def test_a_process_that_lightning_started_detects_its_global_rank() -> None:
    given = {SPAWNED_BY: f"{os.getppid()}:2", "NODE_RANK": "1", "LOCAL_RANK": "2", "WORLD_SIZE": "8"}

    found = detect_launch(given | {"MASTER_ADDR": "10.0.0.4", "MASTER_PORT": "7000"})

    assert found == Launch(LIGHTNING, 6, 2, 8, 2, "10.0.0.4", 7000)
    assert not found.lightning_starts_rest


REFUSED = {
    "not a number": ({**azureml("pytorch", 1, 2, 0), "RANK": "first"}, "RANK is 'first'"),
    "a negative number": ({**azureml("mpi", 1, 2, 0), "OMPI_COMM_WORLD_RANK": "-1"}, "OMPI_COMM_WORLD_RANK is '-1'"),
    "no such rank": ({**azureml("pytorch", 2, 1, 1), "RANK": "2"}, "rank 2 of 2 processes: there is no such rank"),
    "no such local rank": ({**azureml("pytorch", 1, 2, 1), "LOCAL_RANK": "2"}, "local rank 2 of 2 processes"),
    "nodes of different sizes": ({**azureml("mpi", 1, 3, 0), "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}, "3 processes were"),
    "processes that don't divide": ({**azureml("pytorch", 1, 3, 0), "AZUREML_NODE_COUNT": "2"}, "3 processes on 2"),
    "no address": (
        {**azureml("mpi", 2, 1, 0), "AZ_BATCH_MASTER_NODE": "", "AZ_BATCHAI_MPI_MASTER_NODE": ""},
        "address of rank 0 isn't set; expected AZ_BATCH_MASTER_NODE",
    ),
    "a local address": ({**azureml("pytorch", 2, 1, 0), "MASTER_ADDR": "localhost"}, "which is each node itself"),
    "a port too high": ({**azureml("pytorch", 1, 2, 0), "MASTER_PORT": "65536"}, "port of rank 0 is 65536"),
    "port 0": ({**azureml("pytorch", 1, 2, 0), "MASTER_PORT": "0"}, "port of rank 0 is 0"),
    "half of MPI": ({"OMPI_COMM_WORLD_SIZE": "4"}, "OMPI_COMM_WORLD_RANK is missing"),
    "the other half": ({"PMI_RANK": "1"}, "PMI_SIZE is missing"),
    "half of PyTorch": ({"WORLD_SIZE": "4", "RANK": "0"}, "WORLD_SIZE is 4, and MASTER_ADDR is missing"),
    "the same, started by MPI": (
        {"WORLD_SIZE": "4", "RANK": "0", "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "1"},
        "WORLD_SIZE is 4, and MASTER_ADDR is missing",
    ),
    "the other half of PyTorch": ({"RANK": "1", "MASTER_ADDR": "10.0.0.4"}, "WORLD_SIZE is missing"),
    "a job of several nodes": ({"AZUREML_NODE_COUNT": "2"}, "the job has 2 nodes"),
    "MPI on one of them": ({**azureml("mpi", 1, 4, 0), "AZUREML_NODE_COUNT": "2"}, "MPI has started processes on 1"),
    "torchrun on one of them": (
        {**TORCHRUN_OF_FOUR, "WORLD_SIZE": "2", "RANK": "1", "AZUREML_NODE_COUNT": "2"},
        "torchrun has started processes on 1",
    ),
    "ranks that alternate between nodes": (
        {**azureml("mpi", 2, 2, 1), "OMPI_COMM_WORLD_LOCAL_RANK": "0"},
        "rank 1 has local rank 0 of 2",
    ),
    "srun": ({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}, "srun has started 4 tasks"),
}


@pytest.mark.parametrize(("given", "message"), REFUSED.values(), ids=REFUSED)
def test_a_faulty_environment_is_refused_with_a_remedy(given: Mapping[str, str], message: str) -> None:
    with pytest.raises(LaunchError) as error:
        detect_launch(given)

    assert message in str(error.value)
    assert str(error.value).count("; ") == 1


MISMATCHES = [
    (azureml("mpi", 2, 2, 0), 1, 2, "give --trainer.num_nodes 2"),
    (azureml("mpi", 2, 2, 0), 2, 4, "give --trainer.devices 2"),
    (azureml("pytorch", 2, 1, 0), 1, 4, "give --trainer.num_nodes 2"),
    ({**TORCHRUN_OF_FOUR, "RANK": "0", "LOCAL_RANK": "0"}, 2, 3, "or torchrun --nproc_per_node 3"),
    ({}, 2, 1, "no launcher has started this process"),
    (
        {"RANK": "0", "WORLD_SIZE": "4", "MASTER_ADDR": "10.0.0.4"},
        3,
        1,
        "set --trainer.num_nodes to the number of nodes",
    ),
    # with one process per node, local rank 1 doesn't exist
    ({"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.4"}, 2, 1, "no such local rank"),
]


@pytest.mark.parametrize(("given", "nodes", "devices", "message"), MISMATCHES)
def test_a_mismatch_with_the_trainer_is_refused(
    given: Mapping[str, str], nodes: int, devices: int, message: str
) -> None:
    with pytest.raises(LaunchError, match=message):
        match_trainer(detect_launch(given), nodes, devices)


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("launcher", ["mpi", "pytorch"])
def test_one_process_per_node_matches_any_number_of_devices(launcher: str, devices: int) -> None:
    launch = detect_launch(azureml(launcher, 2, 1, 1))

    assert match_trainer(launch, 2, devices) == launch


def test_an_mpi_without_local_ranks_gets_them_from_the_trainers_nodes() -> None:
    launches = [
        match_trainer(detect_launch({"PMI_RANK": str(rank), "PMI_SIZE": "4", "MASTER_ADDR": "10.0.0.4"}), 2, 2)
        for rank in range(4)
    ]

    assert [(found.node_rank, found.local_rank) for found in launches] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_the_environment_of_one_process_per_device(clean_environment: pytest.MonkeyPatch) -> None:
    for name, value in azureml("mpi", 2, 2, 3).items():
        clean_environment.setenv(name, value)
    clean_environment.setenv("LOCAL_RANK", "0")  # wrong, and ignored

    found = AzureMLEnvironment()
    found.set_world_size(17)  # ignored: the launcher has set it
    found.set_global_rank(17)

    assert found.creates_processes_externally
    assert (found.world_size(), found.global_rank(), found.local_rank(), found.node_rank()) == (4, 3, 1, 1)
    assert (found.main_address, found.main_port) == ("10.0.0.4", 6105)
    assert rank_zero_only.rank == 3
    found.validate_settings(num_devices=2, num_nodes=2)
    with pytest.raises(LaunchError):
        found.validate_settings(num_devices=4, num_nodes=1)


@pytest.mark.parametrize("launcher", ["mpi", "pytorch"])
def test_lightning_starts_further_processes_for_one_process_per_node(
    clean_environment: pytest.MonkeyPatch, launcher: str
) -> None:
    for name, value in {**azureml(launcher, 2, 1, 1), "LOCAL_RANK": "0"}.items():  # Lightning #8998
        clean_environment.setenv(name, value)
    clean_environment.setenv(SPAWNED_BY, "0:0")  # so that it is removed after the test

    found = AzureMLEnvironment()
    assert not found.creates_processes_externally
    found.validate_settings(num_devices=4, num_nodes=2)
    assert "LOCAL_RANK" not in os.environ
    clean_environment.setenv("LOCAL_RANK", "0")  # Lightning sets it when it has started the others
    found.set_world_size(8)
    found.set_global_rank(4)

    assert found.creates_processes_externally
    assert (found.world_size(), found.global_rank(), found.local_rank(), found.node_rank()) == (8, 4, 0, 1)
    assert os.environ[SPAWNED_BY] == f"{os.getpid()}:2"


def test_a_process_without_a_launcher_chooses_a_port_and_keeps_it(clean_environment: pytest.MonkeyPatch) -> None:
    found = AzureMLEnvironment()

    assert not AzureMLEnvironment.detect()
    assert found.main_address == "127.0.0.1"
    assert 1024 <= found.main_port == found.main_port


def test_an_address_that_cannot_be_resolved_is_refused() -> None:
    unknown = Launch(PYTORCH, 1, 0, 2, 2, "no-such-host.invalid", 6105)

    with pytest.raises(LaunchError, match=r"no-such-host\.invalid, can't be resolved on this node; "):
        require_resolvable_address(unknown, seconds=0)
    require_resolvable_address(Launch(PYTORCH, 1, 0, 2, 2, "127.0.0.1", 6105), seconds=0)
    require_resolvable_address(Launch(NO_LAUNCHER), seconds=0)


SHOW = """
import json, sys
from lightning_app.distributed.detect import detect_launch

found = detect_launch()
# the whole line in one write: two processes share the output
sys.stdout.write(json.dumps([found.launcher, found.rank, found.local_rank, found.world_size, found.nodes]) + "\\n")
"""


@pytest.mark.parametrize("source", [WHEEL, DEBIAN])
def test_the_real_mpirun_is_detected(source: str, tmp_path: Path) -> None:
    mpirun = require_mpirun(source).command(2)

    found = shown([*mpirun, sys.executable, "-c", SHOW], tmp_path)

    assert found == ['["MPI", 0, 0, 2, 1]', '["MPI", 1, 1, 2, 1]']


def test_the_real_torchrun_is_detected(tmp_path: Path) -> None:
    program = tmp_path / "show.py"
    program.write_text(SHOW)
    torchrun = str(Path(sys.executable).with_name("torchrun"))

    found = shown([torchrun, "--standalone", "--nproc_per_node", "2", str(program)], tmp_path)

    assert found == ['["torchrun", 0, 0, 2, 1]', '["torchrun", 1, 1, 2, 1]']


def shown(command: list[str], folder: Path) -> list[str]:
    outcome = subprocess.run(
        command, cwd=folder, env=environment() | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    assert outcome.returncode == 0, outcome.stderr
    return sorted(outcome.stdout.splitlines())
