"""The environment variables of the launchers, named here and nowhere else.

Sources: Azure ML's guide to distributed training on GPUs (SDK v1), torchrun's manual, Open MPI's and Hydra's (MPICH,
Intel MPI) documentation of what they set.
"""

from collections.abc import Mapping

from lightning_app.errors import LaunchError

NODE_COUNT = "AZUREML_NODE_COUNT"
MASTER_ADDRESS, MASTER_PORT = "MASTER_ADDR", "MASTER_PORT"
# one set of an MPI each: rank, size, rank on the node, processes on the node
OPEN_MPI = ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE")
HYDRA = ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
BATCH_MASTER = "AZ_BATCH_MASTER_NODE"  # ADDRESS:PORT, of jobs on several nodes
BATCHAI_MASTER = "AZ_BATCHAI_MPI_MASTER_NODE"  # an address; may be localhost (hi-ml PR #588)
TORCHRUN = "TORCHELASTIC_RUN_ID"
SLURM_TASKS = "SLURM_STEP_NUM_TASKS"  # processes that srun has started together
SPAWNED_BY = "LIGHTNING_APP_SPAWNED_BY"  # PID:NODES, set by a process of ours that lets Lightning start the others
GLOO_INTERFACES = "GLOO_SOCKET_IFNAME"  # whole names, with commas between them

DEFAULT_PORT = 6105  # Azure ML's own choice where it sets one


def number(environment: Mapping[str, str], name: str) -> int | None:
    """The variable as a whole number of at least 0; None where it isn't set.

    Raises:
        LaunchError: It is set to something else.
    """
    text = environment.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal():
        raise LaunchError(f"{name} is {text!r}; expected a whole number, as the launcher sets it")
    return int(text)


def numbers(environment: Mapping[str, str], *names: str) -> list[int] | None:
    """All of these variables; None unless each is set.

    Raises:
        LaunchError: One is set to something that is no whole number.
    """
    found = [value for value in (number(environment, name) for name in names) if value is not None]
    return found if len(found) == len(names) else None
