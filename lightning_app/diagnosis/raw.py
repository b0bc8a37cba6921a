"""The launchers' variables as they are, for whoever looks where they contradict one another."""

from collections.abc import Mapping

from lightning_app.diagnosis.place import Row
from lightning_app.distributed import variables

# all that is shown as it is; none of it is a secret
_SHOWN = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK"),
    *(variables.MASTER_ADDRESS, variables.MASTER_PORT, "MASTER_ADDRESS"),
    *variables.OPEN_MPI,
    *variables.HYDRA,
    *(variables.BATCH_MASTER, variables.BATCHAI_MASTER, variables.NODE_COUNT, variables.SLURM_TASKS),
)


def raw_rows(environment: Mapping[str, str]) -> list[Row]:
    return [("found", ", ".join(f"{name}={environment[name]}" for name in _SHOWN if name in environment))]
