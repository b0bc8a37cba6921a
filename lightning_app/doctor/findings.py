"""Problems in the environment of a process, each with a remedy. The machine itself isn't examined here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from lightning_app.azureml import job as azureml_job
from lightning_app.distributed.checks import match_trainer
from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.launch import (
    AZ_BATCHAI_MPI_MASTER_NODE,
    AZUREML_NODE_COUNT,
    LOOPBACK,
    MASTER_ADDR,
    MASTER_PORT,
    MPI,
    NO_LAUNCHER,
    OPEN_MPI,
    PYTORCH,
    TORCHRUN,
    Launch,
)
from lightning_app.errors import LaunchError


@dataclass(frozen=True)
class Finding:
    """A problem.

    Args:
        what: What was found, without a full stop.
        remedy: What to do, as an instruction.
        fatal: Whether training refuses to start; otherwise it ignores the problem, which may mislead other programs.
    """

    what: str
    remedy: str
    fatal: bool = False


def refusal(message: str) -> Finding:
    """From the message of an error with which training refuses to start: what was found, a semicolon, what to do."""
    what, _, remedy = message.partition("; ")
    return Finding(what, remedy, fatal=True)


Check = Callable[[Mapping[str, str], Launch], Finding | None]


def _local_rank(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Lightning #8998: with it, other Trainers assume that all processes are started, and start none."""
    value = environment.get("LOCAL_RANK")
    if not value or not launch.lightning_starts_rest:
        return None
    what = f"LOCAL_RANK is {value}, and no launcher has started processes for the other devices of this node"
    return Finding(what, "unset LOCAL_RANK for other Trainers, which would start none; this training starts them")


def _lone_ranks(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Lightning #5651: a single-node job hangs with NODE_RANK set."""
    names = [name for name in ("RANK", "NODE_RANK", "GROUP_RANK") if environment.get(name)]
    if launch.launcher != NO_LAUNCHER or not names or environment.get("WORLD_SIZE"):
        return None
    given = " and ".join(f"{name}={environment[name]}" for name in names)
    what = f"{given} without WORLD_SIZE: no launcher has set it, and this process trains alone"
    return Finding(what, f"unset {' and '.join(names)}, or start the process with a launcher")


def _node_rank(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """azure-docs PR #95788: NODE_RANK = OMPI_COMM_WORLD_RANK, once documented, hangs with several processes a node."""
    value = environment.get("NODE_RANK")
    if not value or launch.launcher not in (MPI, PYTORCH) or launch.nodes is None or value == str(launch.node_rank):
        return None
    per_node = launch.processes_per_node
    what = f"NODE_RANK is {value}, and rank {launch.rank} with {per_node} on each node is on node {launch.node_rank}"
    remedy = f"set NODE_RANK to the rank divided by {per_node}, or unset it" if launch.launcher == MPI else "unset it"
    return Finding(what, remedy)


def _overridden_mpi_ranks(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """A script has set them, for itself or for another launcher; MPI's own are right (Lightning #13639)."""
    expected = {"RANK": launch.rank, "WORLD_SIZE": launch.world_size}
    wrong = [name for name, value in expected.items() if environment.get(name, str(value)) != str(value)]
    if launch.launcher != MPI or not wrong:
        return None
    given = " and ".join(f"{name} is {environment[name]}" for name in wrong)
    is_nodes = environment.get("WORLD_SIZE") == str(launch.nodes)
    nodes = " (the number of nodes; it must be that of processes)" if is_nodes else ""
    what = f"{given}{nodes}, and MPI's variables say rank {launch.rank} of {launch.world_size}, which training uses"
    return Finding(what, f"unset {' and '.join(wrong)}")


def _mpi_size_one(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """azure-docs #93998: Azure ML uses MPI to start a PyTorch job as well, with one process of MPI on each node."""
    if environment.get(OPEN_MPI.size) != "1" or launch.launcher not in (PYTORCH, TORCHRUN) or launch.world_size == 1:
        return None
    what = f"{OPEN_MPI.size} is 1, and {launch.launcher} has started {launch.world_size} processes, which training uses"
    return Finding(what, f"read WORLD_SIZE instead of {OPEN_MPI.size} in your own code")


def _node_count(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """More nodes than the job has; with fewer nodes, training refuses to start."""
    count = environment.get(AZUREML_NODE_COUNT, "")
    if not count.isdecimal() or launch.nodes is None or int(count) >= launch.nodes:
        return None
    what = f"{AZUREML_NODE_COUNT} is {count}, and {launch.launcher} has started processes on {launch.nodes} nodes"
    return Finding(what, f"leave {AZUREML_NODE_COUNT} to Azure ML; training uses the launcher's number")


def _slurm(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Other Trainers would assume that SLURM is the launcher (lightning_fabric's SLURMEnvironment)."""
    names = [name for name in ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_JOB_ID") if name in environment]
    if not names:
        return None
    what = f"{', '.join(names)} set: variables of SLURM, which this training doesn't read"
    return Finding(what, "use mpirun or torchrun to start several processes; for one process, do nothing")


_RANK_CHECKS: tuple[Check, ...] = (
    _local_rank,
    _lone_ranks,
    _node_rank,
    _overridden_mpi_ranks,
    _mpi_size_one,
    _node_count,
    _slurm,
)

_INTERFACES = {"NCCL_SOCKET_IFNAME": "GPUs", "GLOO_SOCKET_IFNAME": "the CPU"}


def _misspelled(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Lightning #13639: the scripts of that thread set it."""
    if "MASTER_ADDRESS" not in environment:
        return None
    what = f"MASTER_ADDRESS is set, which no program reads; its name is {MASTER_ADDR}"
    if launch.address:
        return Finding(what, f"unset it; the address of rank 0 is {launch.address}")
    return Finding(what, f"rename it to {MASTER_ADDR}, or unset it")


def _localhost(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """hi-ml PR #588: Azure ML may set it to localhost on several nodes."""
    value = environment.get(AZ_BATCHAI_MPI_MASTER_NODE)
    if value not in ("localhost", LOOPBACK) or (launch.nodes or 1) == 1 or launch.address in (None, value):
        return None
    what = f"{AZ_BATCHAI_MPI_MASTER_NODE} is {value} on {launch.nodes} nodes, which is each node itself"
    return Finding(what, f"use {launch.address} in your own code, as this training does")


def _other_address(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Two variables have different addresses of rank 0; training uses Azure ML's (hi-ml PR #588)."""
    given = environment.get(MASTER_ADDR)
    if launch.launcher != MPI or not given or launch.address is None or given.strip("[]") == launch.address:
        return None
    what = f"{MASTER_ADDR} is {given}, and Azure ML's address of rank 0 is {launch.address}, which training uses"
    return Finding(what, f"unset {MASTER_ADDR}")


def _unused_port(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Invalid, but not used; where training uses it, it refuses to start."""
    port = environment.get(MASTER_PORT, "").strip()
    if launch.launcher != NO_LAUNCHER or not port or (port.isdecimal() and 1 <= int(port) <= 65535):
        return None
    what = f"{MASTER_PORT} is {port!r}, and a port is a number from 1 to 65535"
    return Finding(what, f"unset {MASTER_PORT}; a training without a launcher doesn't use it")


def _loopback_only(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """The loopback interface reaches no other node; on a single node it is a correct setting."""
    names = [name for name in _INTERFACES if environment.get(name, "").lstrip("=") == "lo"]
    if not names or (launch.nodes or 1) == 1 or (launch.address or "").startswith("127."):
        return None
    what = f"{' and '.join(names)} is lo on {launch.nodes} nodes, which reaches no other node"
    return Finding(what, f"unset it; training on {_INTERFACES[names[0]]} would wait for the other nodes")


_ADDRESS_CHECKS: tuple[Check, ...] = (_misspelled, _localhost, _other_address, _unused_port, _loopback_only)

_CHECKS = (*_RANK_CHECKS, *_ADDRESS_CHECKS)


@dataclass(frozen=True)
class Diagnosis:
    """The launch, None where it can't be detected, and the problems."""

    launch: Launch | None
    findings: list[Finding]


def diagnose(environment: Mapping[str, str], num_nodes: int | None = None, devices: int | None = None) -> Diagnosis:
    """Detects the launch as training does, and finds problems.

    Args:
        environment: The variables of one process.
        num_nodes: The training's --trainer.num_nodes; None if it isn't to be checked.
        devices: The training's --trainer.devices; None if it isn't to be checked.
    """
    try:
        launch = detect_launch(environment)
    except LaunchError as error:
        return Diagnosis(None, [refusal(str(error))])
    findings = []
    try:
        launch = _match_flags(launch, num_nodes, devices)
    except LaunchError as error:
        findings.append(refusal(str(error)))
    ignored = (check(environment, launch) for check in _CHECKS)
    return Diagnosis(launch, findings + [finding for finding in ignored if finding])


def _match_flags(launch: Launch, num_nodes: int | None, devices: int | None) -> Launch:
    """The launch as a Trainer with these numbers accepts it."""
    nodes = num_nodes or launch.nodes
    if nodes is None:
        return launch
    return match_trainer(launch, nodes, devices or max(1, launch.world_size // nodes))


_EXPIRY = "AZUREML_RUN_TOKEN_EXPIRY"  # seconds since 1970


def check_run_variables(environment: Mapping[str, str]) -> Finding | None:
    """Some are missing; azureml-core goes offline then, without a warning."""
    missing = azureml_job.partly_missing(environment)
    if not missing:
        return None
    what = f"{', '.join(missing)} not set, and others of an Azure ML job are: metrics are only in the journal"
    return Finding(what, "pass on all AZUREML_ variables of the job to this process")


def check_token(environment: Mapping[str, str], now: datetime) -> Finding | None:
    """Used for this process only; in an environment file an expired token is normal."""
    expiry = token_expiry(environment)
    if azureml_job.run_id(environment) is None or expiry is None or expiry > now:
        return None
    what = f"the run's token expired at {expiry:%Y-%m-%d %H:%M} UTC ({_EXPIRY}): Azure ML will refuse metrics"
    return Finding(what, "start a new job; the journal, outputs/metrics.jsonl, has all metrics")


def token_expiry(environment: Mapping[str, str]) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(environment[_EXPIRY]), timezone.utc)
    except (KeyError, ValueError, OverflowError, OSError):
        return None
