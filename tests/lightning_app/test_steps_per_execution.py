"""``--steps_per_execution`` on the command line: a run has the same weights, rows and checkpoints with any number."""

import hashlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_app.azureml.journal import read_journal
from models import CifarNet
from tests.support.commands import command_line, environment
from tests.support.images import make_cifar10
from tests.support.in_process import run_in_process
from tests.support.known_module import difference
from tests.support.watched_loader import WatchedData

CPU = ("--trainer.accelerator", "cpu")


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def flags(steps: int | str, folder: str, further: Sequence[str]) -> list[str]:
    return [
        *("fit", "--model", "tests.lightning_app.test_steps_per_execution.Signalled", *CPU, "--data_path", "cifar"),
        *("--data", "datamodules.CIFAR10DataModule", "--steps_per_execution", str(steps), "--output_dir", folder),
        *("--seed", "5", *further),
    ]


def rows(folder: str) -> list[dict[str, Any]]:
    kept = ("step", "epoch", "metrics")
    return [{name: row.get(name) for name in kept} for row in read_journal(Path(folder, "metrics.jsonl"))]


def content(folder: str, name: str = "last") -> dict[str, Any]:
    """Of a checkpoint, without counters of a resumed run and the identity of its journal."""
    found: dict[str, Any] = torch.load(Path(folder, f"checkpoints/{name}.ckpt"), weights_only=True)
    return {name: value for name, value in found.items() if name not in ("loops", "metrics_journals")}


def assert_same_runs(one: str, other: str) -> None:
    assert not difference(content(one), content(other))
    assert rows(one) == rows(other)


def train(steps: int | str, folder: str, *further: str) -> None:
    done = run_in_process(*flags(steps, folder, further))
    assert (done.status, done.err) == (0, ""), done


def train_apart(steps: int | str, folder: str, *further: str, **variables: str) -> int:
    """In a process of its own; returns its exit status."""
    command = command_line(*flags(steps, folder, further))
    return subprocess.run(command, env=environment() | variables, capture_output=True, timeout=600).returncode


class Signalled(CifarNet):
    """Sends the signal SIGNAL to its own process in the training step after AT_STEP steps."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        if "AT_STEP" in os.environ and self.global_step == int(os.environ["AT_STEP"]):
            os.kill(os.getpid(), signal.Signals[os.environ["SIGNAL"]])
        return super().training_step(batch, batch_idx)


USUAL = ("--batch_size", "4", "--num_epochs", "2", "--data.val_split", "40", "--trainer.log_every_n_steps", "15")


@pytest.mark.parametrize(
    "further",
    [
        ("--trainer.val_check_interval", "11"),
        ("--data.augment", "true", "--trainer.max_steps", "65", "--trainer.gradient_clip_val", "0.5"),
    ],
)
def test_runs_have_the_same_weights_rows_and_checkpoints(further: Sequence[str]) -> None:
    make_cifar10(Path("cifar"))
    by_steps: tuple[int | str, ...] = (1, 7, "auto")
    for steps in by_steps:
        train(steps, f"by-{steps}", *USUAL, *further)

    assert len(rows("by-1")) >= 5
    for steps in by_steps[1:]:
        assert_same_runs("by-1", f"by-{steps}")
        best = [
            torch.load(Path(folder, "checkpoints/best.ckpt"), weights_only=True) for folder in ("by-1", f"by-{steps}")
        ]
        assert not difference(*(found["state_dict"] for found in best))


def test_a_signal_within_an_execution_ends_it_after_the_step_and_the_run_continues_there() -> None:
    make_cifar10(Path("cifar"))
    train(1, "whole", *USUAL)

    assert train_apart(50, "stopped", *USUAL, AT_STEP="21", SIGNAL="SIGTERM") == 143
    assert content("stopped")["global_step"] == 22
    train(7, "stopped", *USUAL)

    assert not difference(content("whole"), content("stopped"))
    assert rows("whole") == rows("stopped")


def test_two_processes_have_the_same_results() -> None:
    make_cifar10(Path("cifar"))
    for steps in (1, 7):
        assert train_apart(steps, f"by-{steps}", *USUAL, "--trainer.devices", "2") == 0

    assert_same_runs("by-1", "by-7")


def test_the_number_of_steps_is_checked_before_work_starts() -> None:
    for given in ("0", "-1", "some", "1.5"):
        done = run_in_process("fit", *CPU, "--steps_per_execution", given)

        assert done.status == 2
        assert done.err == f"error: --steps_per_execution {given}: expected auto or a whole number above 0\n"


def test_nothing_keeps_a_batch_while_the_next_one_is_made() -> None:
    """The next one takes the memory of the last one then, which is in the processor's cache."""
    make_cifar10(Path("cifar"), images_per_file=400)

    done = run_in_process(
        *("fit", *CPU, "--data", "tests.support.watched_loader.WatchedData", "--data_path", "cifar"),
        *("--batch_size", "256", "--num_epochs", "1"),
    )

    assert (done.status, done.err) == (0, "")
    assert WatchedData.left == [0] * 8


LONG = ("--batch_size", "4", "--num_epochs", "2", "--data.augment", "true", "--trainer.log_every_n_steps", "300")
ONE_CYCLE = ("--model.schedule", "one_cycle")
VARIANTS: dict[str, Sequence[str]] = {
    "plain": (),
    "schedule": ONE_CYCLE,
    "clipping": ("--trainer.gradient_clip_val", "0.5"),
    "bf16": ("--trainer.precision", "bf16-mixed"),
    "accumulation": ("--trainer.accumulate_grad_batches", "3", "--num_epochs", "6"),
    "averaging": ("--trainer.callbacks", "EMAWeightAveraging", "--trainer.callbacks.decay", "0.99"),
    "two processes": ("--trainer.devices", "2", "--batch_size", "2"),
    "stopped and killed": ONE_CYCLE,
}


def train_disturbed(steps: int, folder: str, *further: str) -> None:
    """Stopped after step 1,438 and killed in step 1,700, both within an execution."""
    assert train_apart(steps, folder, *further, AT_STEP="1437", SIGNAL="SIGTERM") == 143
    assert content(folder)["global_step"] == 1438
    assert train_apart(steps, folder, *further, AT_STEP="1700", SIGNAL="SIGKILL") == -signal.SIGKILL
    assert train_apart(steps, folder, *further) == 0


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_after_two_thousand_steps_all_numbers_of_steps_have_the_same_weights(variant: str) -> None:
    make_cifar10(Path("cifar"), images_per_file=800)
    further = (*LONG, *VARIANTS[variant])
    for steps in (1, 7, 50):
        if variant == "stopped and killed" and steps > 1:
            train_disturbed(steps, f"by-{steps}", *further)
        elif variant == "two processes":
            assert train_apart(steps, f"by-{steps}", *further) == 0
        else:
            train(steps, f"by-{steps}", *further)

    digests = [weights_digest(f"by-{steps}") for steps in (1, 7, 50)]
    print(f"{variant}: {content('by-1')['global_step']} steps, weights {', '.join(digests)}")
    assert_same_runs("by-1", "by-7")
    assert_same_runs("by-1", "by-50")


def weights_digest(folder: str) -> str:
    tensors = content(folder)["state_dict"].values()
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in tensors)).hexdigest()[:12]
