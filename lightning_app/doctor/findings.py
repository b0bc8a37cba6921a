"""What doesn't fit together in the environment of a process, each with a remedy. The machine isn't looked at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from lightning_app.azureml import job as azureml_job
from lightning_app.distributed.checks import match_trainer
from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.launch import (
    ALONE,
    BATCHAI_MASTER,
    LOOPBACK,
    MASTER_ADDRESS,
    MASTER_PORT,
    MPI,
    NODE_COUNT,
    OPEN_MPI,
    PYTORCH,
    TORCHRUN,
    Launch,
)
from lightning_app.errors import LaunchError


@dataclass(frozen=True)
class Finding:
    """``fatal`` where training refuses to start; anything else is ignored by it, and misleads other programs."""

    what: str
    remedy: str
    fatal: bool = False


def refusal(message: str) -> Finding:
    """An error of the training, whose message is what was found, a semicolon, and what to do."""
    what, _, remedy = message.partition("; ")
    return Finding(what, remedy, fatal=True)


Check = Callable[[Mapping[str, str], Launch], Finding | None]


def _local_rank(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Lightning #8998: other Trainers take the processes for started then, and start none."""
    value = environment.get("LOCAL_RANK")
    if not value or not launch.lightning_starts_rest:
        return None
    what = f"LOCAL_RANK is {value}, and nobody has started processes for the other devices of this node"
    return Finding(what, "unset LOCAL_RANK for other Trainers, who would start none; this training starts them")


def _lone_ranks(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Lightning #5651: a single-node job hangs with NODE_RANK set."""
    names = [name for name in ("RANK", "NODE_RANK", "GROUP_RANK") if environment.get(name)]
    if launch.launcher != ALONE or not names or environment.get("WORLD_SIZE"):
        return None
    given = " and ".join(f"{name}={environment[name]}" for name in names)
    what = f"{given} without WORLD_SIZE: no launcher sets that, and this process trains as the only one"
    return Finding(what, f"unset {' and '.join(names)}, or start the process with a launcher")


def _node_rank(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """azure-docs PR #95788: NODE_RANK = OMPI_COMM_WORLD_RANK, once documented, hangs several processes a node."""
    value = environment.get("NODE_RANK")
    if not value or launch.launcher not in (MPI, PYTORCH) or launch.nodes is None or value == str(launch.node_rank):
        return None
    per_node = launch.processes_per_node
    what = f"NODE_RANK is {value}, and rank {launch.rank} with {per_node} on each node is on node {launch.node_rank}"
    remedy = f"set NODE_RANK to the rank divided by {per_node}, or unset it" if launch.launcher == MPI else "unset it"
    return Finding(what, remedy)


def _not_mpis(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """A script has set these, for itself or for another launcher; MPI's own are the right ones (Lightning #13639)."""
    right = {"RANK": launch.rank, "WORLD_SIZE": launch.world_size}
    wrong = [name for name, value in right.items() if environment.get(name, str(value)) != str(value)]
    if launch.launcher != MPI or not wrong:
        return None
    given = " and ".join(f"{name} is {environment[name]}" for name in wrong)
    nodes = " (that is the nodes; it counts processes)" if environment.get("WORLD_SIZE") == str(launch.nodes) else ""
    what = f"{given}{nodes}, and MPI says rank {launch.rank} of {launch.world_size}, which training goes by"
    return Finding(what, f"unset {' and '.join(wrong)}")


def _mpi_of_one(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """azure-docs #93998: Azure ML starts a PyTorch job by MPI, too, one process of it on each node."""
    if environment.get(OPEN_MPI[1]) != "1" or launch.launcher not in (PYTORCH, TORCHRUN) or launch.world_size == 1:
        return None
    what = f"{OPEN_MPI[1]} is 1, and {launch.launcher} has started {launch.world_size} processes, which is right"
    return Finding(what, f"read WORLD_SIZE, not {OPEN_MPI[1]}, in code of your own")


def _node_count(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """More nodes than the job has; the other way round training refuses to start."""
    count = environment.get(NODE_COUNT, "")
    if not count.isdecimal() or launch.nodes is None or int(count) >= launch.nodes:
        return None
    what = f"{NODE_COUNT} is {count}, and {launch.launcher} has started processes on {launch.nodes} nodes"
    return Finding(what, f"leave {NODE_COUNT} to Azure ML; training goes by the launcher")


def _slurm(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Other Trainers would take SLURM for the launcher (lightning_fabric's SLURMEnvironment)."""
    names = [name for name in ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_JOB_ID") if name in environment]
    if not names:
        return None
    what = f"{', '.join(names)} set: of SLURM, which this training doesn't ask"
    return Finding(what, "start several processes with mpirun or torchrun; otherwise nothing has to be done")


_RANK_CHECKS: tuple[Check, ...] = (
    _local_rank,
    _lone_ranks,
    _node_rank,
    _not_mpis,
    _mpi_of_one,
    _node_count,
    _slurm,
)

INTERFACES = {"NCCL_SOCKET_IFNAME": "GPUs", "GLOO_SOCKET_IFNAME": "the CPU"}


def _misspelled(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Lightning #13639: the scripts of that thread set it."""
    if "MASTER_ADDRESS" not in environment:
        return None
    what = f"MASTER_ADDRESS is set, which nothing reads; its name is {MASTER_ADDRESS}"
    remedy = f"unset it; rank 0 is at {launch.address}" if launch.address else f"call it {MASTER_ADDRESS}, or unset it"
    return Finding(what, remedy)


def _localhost(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """hi-ml PR #588: Azure ML may set it to localhost on several nodes."""
    value = environment.get(BATCHAI_MASTER)
    if value not in ("localhost", LOOPBACK) or (launch.nodes or 1) == 1 or launch.address in (None, value):
        return None
    what = f"{BATCHAI_MASTER} is {value} on {launch.nodes} nodes, which is each node itself"
    return Finding(what, f"go by {launch.address} in code of your own, as this training does")


def _other_address(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Two say where rank 0 is, and they don't say the same; Azure ML's own word counts (hi-ml PR #588)."""
    given = environment.get(MASTER_ADDRESS)
    if launch.launcher != MPI or not given or launch.address is None or given.strip("[]") == launch.address:
        return None
    what = f"{MASTER_ADDRESS} is {given}, and Azure ML says that rank 0 is at {launch.address}, where training looks"
    return Finding(what, f"unset {MASTER_ADDRESS}")


def _unread_port(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """Where training reads it, it refuses to start."""
    port = environment.get(MASTER_PORT, "").strip()
    if launch.launcher != ALONE or not port or (port.isdecimal() and 1 <= int(port) <= 65535):
        return None
    what = f"{MASTER_PORT} is {port!r}, and a port is a number from 1 to 65535"
    return Finding(what, f"unset {MASTER_PORT}; a training that was started alone doesn't read it")


def _loopback_only(environment: Mapping[str, str], launch: Launch) -> Finding | None:
    """The loopback interface leads to no other node. On a single machine it is what people set, and right."""
    names = [name for name in INTERFACES if environment.get(name, "").lstrip("=") == "lo"]
    if not names or (launch.nodes or 1) == 1 or (launch.address or "").startswith("127."):
        return None
    what = f"{' and '.join(names)} is lo on {launch.nodes} nodes, which leads to no other node"
    return Finding(what, f"unset it; training on {INTERFACES[names[0]]} would wait for the other nodes")


_ADDRESS_CHECKS: tuple[Check, ...] = (_misspelled, _localhost, _other_address, _unread_port, _loopback_only)

_CHECKS = (*_RANK_CHECKS, *_ADDRESS_CHECKS)


@dataclass(frozen=True)
class Diagnosis:
    """``launch`` is None where the variables don't tell one."""

    launch: Launch | None
    contradictions: list[Finding]


def diagnose(environment: Mapping[str, str], num_nodes: int | None = None, devices: int | None = None) -> Diagnosis:
    """What training makes of an environment.

    Args:
        environment: Of one process.
        num_nodes: --trainer.num_nodes; None is taken for the right one.
        devices: --trainer.devices; None is taken for the right ones.
    """
    try:
        launch = detect_launch(environment)
    except LaunchError as error:
        return Diagnosis(None, [refusal(str(error))])
    found = []
    try:
        launch = _match_flags(launch, num_nodes, devices)
    except LaunchError as error:
        found.append(refusal(str(error)))
    strays = (check(environment, launch) for check in _CHECKS)
    return Diagnosis(launch, found + [stray for stray in strays if stray])


def contradictions(
    environment: Mapping[str, str], num_nodes: int | None = None, devices: int | None = None
) -> list[Finding]:
    """As ``diagnose``; those that keep training from starting come first."""
    return diagnose(environment, num_nodes, devices).contradictions


def _match_flags(launch: Launch, num_nodes: int | None, devices: int | None) -> Launch:
    """The launch as the Trainer takes it, who has been told these numbers."""
    nodes = num_nodes or launch.nodes
    if nodes is None:
        return launch
    return match_trainer(launch, nodes, devices or max(1, launch.world_size // nodes))


_EXPIRY = "AZUREML_RUN_TOKEN_EXPIRY"  # seconds since 1970


def check_run_variables(environment: Mapping[str, str]) -> Finding | None:
    """azureml-core goes offline without a word then."""
    absent = azureml_job.partly_missing(environment)
    if not absent:
        return None
    what = f"{', '.join(absent)} not set, and others of an Azure ML job are: metrics stay in the journal"
    return Finding(what, "hand on all AZUREML_ variables of the job to this process")


def check_token(environment: Mapping[str, str], now: datetime) -> Finding | None:
    """Asked of a live process alone: that an old dump's token has ended is no news."""
    ends = token_expiry(environment)
    if azureml_job.run_id(environment) is None or ends is None or ends > now:
        return None
    what = f"the run's token ended at {ends:%Y-%m-%d %H:%M} UTC ({_EXPIRY}): Azure ML will refuse metrics"
    return Finding(what, "start a new job; the journal, outputs/metrics.jsonl, keeps all metrics meanwhile")


def token_expiry(environment: Mapping[str, str]) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(environment[_EXPIRY]), timezone.utc)
    except (KeyError, ValueError, OverflowError, OSError):
        return None
