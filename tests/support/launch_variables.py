"""Environment variables that launchers set for a process."""

from lightning_app.distributed.launch import SPAWNED_BY

TORCHRUN_OF_FOUR = {  # set by torchrun --nnodes 2 --nproc_per_node 2 (torch.distributed.elastic)
    "TORCHELASTIC_RUN_ID": "none",
    "MASTER_ADDR": "10.0.0.4",
    "MASTER_PORT": "29500",
    "RANK": "3",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "4",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_RANK": "1",
}
LAUNCHER_VARIABLES = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"),
    *("TORCHELASTIC_RUN_ID", "AZUREML_NODE_COUNT", "AZ_BATCH_MASTER_NODE", "AZ_BATCHAI_MPI_MASTER_NODE", SPAWNED_BY),
    *("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
)
