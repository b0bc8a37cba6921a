"""``AzureMLEnvironment`` in a Trainer that this project doesn't create."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import environment
from tests.support.programs import require_mpirun

SCRIPT = """
import sys
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from lightning_app.distributed.environment import AzureMLEnvironment


class Sums(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch[0]).mean()

    def on_train_end(self):
        total = self.all_gather(torch.tensor(float(self.global_rank))).sum()
        # in one write: the processes share a pipe
        sys.stdout.write(f"rank {self.global_rank} of {self.trainer.world_size} sum {int(total)}\\n")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


environment = AzureMLEnvironment()
rank_zero_only(print)("before the Trainer", flush=True)
trainer = pl.Trainer(
    strategy="ddp", accelerator="cpu", devices=int(sys.argv[1]), plugins=[environment], max_epochs=1, logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
)
images = torch.utils.data.TensorDataset(torch.rand(8, 1))
trainer.fit(Sums(), torch.utils.data.DataLoader(images))
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return str(path)


def run(command: list[str], port: int, **variables: str) -> subprocess.CompletedProcess[str]:
    further = {"MASTER_PORT": str(port), **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment() | further)


def assert_two_connected_processes(done: subprocess.CompletedProcess[str]) -> None:
    """Each has the sum of both ranks, and what only rank 0 prints was printed once."""
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("rank")]
    assert sorted(lines) == ["rank 0 of 2 sum 1", "rank 1 of 2 sum 1"]
    assert done.stdout.count("before the Trainer") == 1


def test_processes_started_by_mpi_train_together(script: str, free_port: int) -> None:
    mpirun = require_mpirun().command(2)

    done = run([*mpirun, sys.executable, script, "2"], free_port)

    assert_two_connected_processes(done)


@pytest.mark.slow
def test_processes_started_by_lightning_train_together_despite_left_over_variables(script: str, free_port: int) -> None:
    done = run([sys.executable, script, "2"], free_port, LOCAL_RANK="0", NODE_RANK="1", RANK="1")

    assert_two_connected_processes(done)


@pytest.mark.slow
def test_a_trainer_with_more_devices_than_processes_is_refused(script: str, free_port: int) -> None:
    mpirun = require_mpirun().command(2)

    done = run([*mpirun, sys.executable, script, "3"], free_port)

    assert done.returncode != 0
    assert "MPI has started 2 processes on each node, and --trainer.devices is 3" in done.stderr
