"""Trainings on a GPU; ``make bench-gpu`` runs these. Each is compared with what the same command does elsewhere."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.commands import command_line, environment
from tests.support.images import make_cifar10

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]
# of its own kernels cuDNN would choose the fastest, which may be another one in each process
EXACT = ("--trainer.deterministic", "true", "--trainer.benchmark", "false")


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(Path("cifar"))


def train(folder: str, *further: str, accelerator: str = "gpu") -> str:
    flags = ["fit", "--data_path", "cifar", "--output_dir", folder, "--seed", "5", "--batch_size", "4"]
    flags += ["--trainer.log_every_n_steps", "15", "--trainer.accelerator", accelerator, *further]
    variables = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}  # without it, cuBLAS refuses to be deterministic
    done = subprocess.run(
        command_line(*flags), env=environment() | variables, capture_output=True, text=True, timeout=600
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def weights(folder: str) -> dict[str, torch.Tensor]:
    checkpoint = torch.load(Path(folder, "checkpoints/last.ckpt"), weights_only=True, map_location="cpu")
    found: dict[str, torch.Tensor] = checkpoint["state_dict"]
    return found


def metrics(folder: str) -> list[dict[str, Any]]:
    return [json.loads(line)["metrics"] for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


def assert_equal_weights(one: str, other: str) -> None:
    found, expected = weights(one), weights(other)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_gpu_trains_to_about_the_same_as_the_processor() -> None:
    printed = train("on-gpu", "--num_epochs", "1", "--trainer.devices", "1")
    train("on-cpu", "--num_epochs", "1", accelerator="cpu")

    assert f"Training on {torch.cuda.get_device_name(0)}" in printed or "Training on GPU" in printed
    assert [row.keys() for row in metrics("on-gpu")] == [row.keys() for row in metrics("on-cpu")]
    torch.testing.assert_close(weights("on-gpu"), weights("on-cpu"), rtol=0.05, atol=0.01)


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_the_number_of_steps_in_one_execution_changes_nothing(precision: str) -> None:
    for steps in ("1", "7"):
        further = ("--num_epochs", "2", "--steps_per_execution", steps, "--trainer.precision", precision, *EXACT)
        train(f"by-{steps}", *further, "--trainer.devices", "1")

    assert_equal_weights("by-7", "by-1")
    assert metrics("by-7") == metrics("by-1")


def test_a_run_that_stops_and_continues_has_the_same_weights() -> None:
    train("whole", "--num_epochs", "2", "--trainer.devices", "1", *EXACT)
    train("parts", "--num_epochs", "1", "--trainer.devices", "1", *EXACT)
    train("parts", "--num_epochs", "2", "--trainer.devices", "1", *EXACT)

    assert_equal_weights("parts", "whole")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two GPUs")
def test_two_gpus_train_as_two_processes_on_the_processor_do() -> None:
    train("on-gpus", "--num_epochs", "1", "--trainer.devices", "2")
    train("on-cpu", "--num_epochs", "1", "--trainer.devices", "2", accelerator="cpu")

    torch.testing.assert_close(weights("on-gpus"), weights("on-cpu"), rtol=0.05, atol=0.01)
