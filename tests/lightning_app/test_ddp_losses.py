"""Two processes with class weights, label smoothing, a chosen optimizer and schedule, or mixed images."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightning_app.azureml.journal import read_journal
from tests.lightning_app.test_ddp import WEIGHTS_TOLERANCE, assert_same_run, fit, make_uneven_cifar10
from tests.support.commands import Command

pytestmark = pytest.mark.slow

RANKS = """
import pytorch_lightning as pl
import torch

class RankWeights(pl.Callback):
    '''Writes the weights that each process has at the end of the training.'''

    def on_train_end(self, trainer, pl_module):
        torch.save(pl_module.state_dict(), f"{trainer.world_size}-{trainer.global_rank}.pt")
"""
WRITTEN = "--trainer.callbacks+=ranks.RankWeights"
ADAMW = ("--optimizer", "AdamW", "--optimizer.weight_decay", "0.01", "--learning_rate", "0.002")
COSINE = ("--lr_scheduler", "CosineAnnealingLR", "--lr_scheduler.T_max", "3")
WEIGHTED = ("--model.class_weights", "balanced", "--model.label_smoothing", "0.1")
# AdamW divides gradients by their size: of tiny ones the last places are a larger share. 1.6e-6 was measured, where a
# step is up to 2e-3.
TOLERANCE_OF_ADAMW = 1e-5
MIXED = ("--model.mixup_alpha", "0.4", "--model.cutmix_alpha", "1.0")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "ranks.py").write_text(RANKS)
    return make_uneven_cifar10(tmp_path / "cifar")


def weights_of_ranks() -> list[dict[str, Tensor]]:
    return [torch.load(f"2-{rank}.pt", weights_only=True) for rank in range(2)]


def assert_ranks_are_equal() -> None:
    first, second = weights_of_ranks()
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize(
    "flags", [(*WEIGHTED,), (*ADAMW, *COSINE), (*WEIGHTED, *ADAMW, *COSINE)], ids=["loss", "optimizer", "both"]
)
def test_two_processes_have_the_weights_of_one_with_twice_the_batch(
    run: Command, data: Path, flags: tuple[str, ...]
) -> None:
    """The loss of a step is a mean over images, so that the mean of the processes' gradients is that of one process."""
    alone = fit(run, data, 1, *flags)
    together = fit(run, data, 2, *flags, WRITTEN)

    assert_ranks_are_equal()
    assert_same_run(alone, together, TOLERANCE_OF_ADAMW if "AdamW" in flags else WEIGHTS_TOLERANCE)


def test_mixed_images_are_others_in_two_processes_which_have_the_same_weights(run: Command, data: Path) -> None:
    """Each process mixes the images of its own part of a batch, so that one process makes other images of them."""
    alone = fit(run, data, 1, *MIXED, *WEIGHTED, *ADAMW, *COSINE)
    together = fit(run, data, 2, *MIXED, *WEIGHTED, *ADAMW, *COSINE, WRITTEN)

    assert_ranks_are_equal()
    rows, others = (list(read_journal(folder / "metrics.jsonl")) for folder in (alone, together))
    assert [(row["step"], list(row["metrics"])) for row in rows] == [
        (row["step"], list(row["metrics"])) for row in others
    ]
    losses, different = ([row["metrics"].get("train_loss") for row in found] for found in (rows, others))
    assert losses != different
