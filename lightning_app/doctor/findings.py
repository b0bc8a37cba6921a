"""Ranks and sizes that training doesn't go by, and that mislead other programs."""

from collections.abc import Callable, Mapping

from lightning_app.diagnosis.contradiction import Contradiction
from lightning_app.distributed.launch import ALONE, MPI, PYTORCH, TORCHRUN, Launch
from lightning_app.distributed.variables import NODE_COUNT, OPEN_MPI

Check = Callable[[Mapping[str, str], Launch], Contradiction | None]


def _local_rank(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """Lightning #8998: other Trainers take the processes for started then, and start none."""
    value = environment.get("LOCAL_RANK")
    if not value or not launch.leaves_the_rest_to_lightning:
        return None
    what = f"LOCAL_RANK is {value}, and nobody has started processes for the other devices of this node"
    return Contradiction(what, "unset LOCAL_RANK for other Trainers, who would start none; this training starts them")


def _lone_ranks(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """Lightning #5651: a single-node job hangs with NODE_RANK set."""
    names = [name for name in ("RANK", "NODE_RANK", "GROUP_RANK") if environment.get(name)]
    if launch.launcher != ALONE or not names or environment.get("WORLD_SIZE"):
        return None
    given = " and ".join(f"{name}={environment[name]}" for name in names)
    what = f"{given} without WORLD_SIZE: no launcher sets that, and this process trains as the only one"
    return Contradiction(what, f"unset {' and '.join(names)}, or start the process with a launcher")


def _node_rank(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """azure-docs PR #95788: NODE_RANK = OMPI_COMM_WORLD_RANK, once documented, hangs several processes a node."""
    value = environment.get("NODE_RANK")
    if not value or launch.launcher not in (MPI, PYTORCH) or launch.nodes is None or value == str(launch.node_rank):
        return None
    per_node = launch.processes_per_node
    what = f"NODE_RANK is {value}, and rank {launch.rank} with {per_node} on each node is on node {launch.node_rank}"
    remedy = f"set NODE_RANK to the rank divided by {per_node}, or unset it" if launch.launcher == MPI else "unset it"
    return Contradiction(what, remedy)


def _not_mpis(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """A script has set these, for itself or for another launcher; MPI's own are the right ones (Lightning #13639)."""
    right = {"RANK": launch.rank, "WORLD_SIZE": launch.world_size}
    wrong = [name for name, value in right.items() if environment.get(name, str(value)) != str(value)]
    if launch.launcher != MPI or not wrong:
        return None
    given = " and ".join(f"{name} is {environment[name]}" for name in wrong)
    nodes = " (that is the nodes; it counts processes)" if environment.get("WORLD_SIZE") == str(launch.nodes) else ""
    what = f"{given}{nodes}, and MPI says rank {launch.rank} of {launch.world_size}, which training goes by"
    return Contradiction(what, f"unset {' and '.join(wrong)}")


def _mpi_of_one(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """azure-docs #93998: Azure ML starts a PyTorch job by MPI, too, one process of it on each node."""
    if environment.get(OPEN_MPI[1]) != "1" or launch.launcher not in (PYTORCH, TORCHRUN) or launch.world_size == 1:
        return None
    what = f"{OPEN_MPI[1]} is 1, and {launch.launcher} has started {launch.world_size} processes, which is right"
    return Contradiction(what, f"read WORLD_SIZE, not {OPEN_MPI[1]}, in code of your own")


def _node_count(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """More nodes than the job has; the other way round training refuses to start."""
    count = environment.get(NODE_COUNT, "")
    if not count.isdecimal() or launch.nodes is None or int(count) >= launch.nodes:
        return None
    what = f"{NODE_COUNT} is {count}, and {launch.launcher} has started processes on {launch.nodes} nodes"
    return Contradiction(what, f"leave {NODE_COUNT} to Azure ML; training goes by the launcher")


def _slurm(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """Other Trainers would take SLURM for the launcher (lightning_fabric's SLURMEnvironment)."""
    names = [name for name in ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_JOB_ID") if name in environment]
    if not names:
        return None
    what = f"{', '.join(names)} set: of SLURM, which this training doesn't ask"
    return Contradiction(what, "start several processes with mpirun or torchrun; otherwise nothing has to be done")


CHECKS: tuple[Check, ...] = (
    _local_rank,
    _lone_ranks,
    _node_rank,
    _not_mpis,
    _mpi_of_one,
    _node_count,
    _slurm,
)
