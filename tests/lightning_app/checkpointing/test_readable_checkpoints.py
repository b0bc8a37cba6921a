"""Checkpoints of modules that save hyperparameters of any kind are read, evaluated and continued."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.demos.boring_classes import BoringModel

from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.checkpointing.checkpoint_io import AtomicCheckpointIO
from lightning_app.checkpointing.readable_checkpoints import is_readable
from tests.lightning_app.test_hyperparameters import VALUES, Mode, Schedule


class Saving(BoringModel):
    def __init__(self, odd: Any = None) -> None:
        super().__init__()
        self.save_hyperparameters()


@pytest.mark.parametrize("kind", sorted(VALUES.keys() - {"tensor without values"}))  # has no content to be saved
def test_a_checkpoint_with_any_hyperparameter_is_read(tmp_path: Path, kind: str) -> None:
    value, plain = VALUES[kind]
    checkpoint = {"state_dict": {}, "pytorch-lightning_version": "2.6", "hyper_parameters": {"odd": value, "rate": 0.1}}

    AtomicCheckpointIO().save_checkpoint(checkpoint, tmp_path / "a.ckpt")

    found = read_checkpoint(tmp_path / "a.ckpt")["hyper_parameters"]
    assert found["rate"] == 0.1
    assert is_readable(value) or repr(found["odd"]) == repr(plain)
    assert checkpoint["hyper_parameters"]["odd"] is value  # type: ignore[index]


def test_values_that_can_be_read_are_not_changed(tmp_path: Path) -> None:
    values = {"size": torch.Size([1, 2]), "weights": torch.ones(2), "dtype": torch.float16, "pair": (1, {2})}
    checkpoint = {
        "state_dict": {},
        "pytorch-lightning_version": "2.6",
        "hyper_parameters": values | {"mode": Mode.FAST},
    }

    AtomicCheckpointIO().save_checkpoint(checkpoint, tmp_path / "a.ckpt")

    found = read_checkpoint(tmp_path / "a.ckpt")["hyper_parameters"]
    assert repr(found) == repr(values | {"mode": "fast"})


def test_a_long_array_is_saved_whole(tmp_path: Path) -> None:
    checkpoint = {"state_dict": {}, "pytorch-lightning_version": "2.6", "hyper_parameters": {"a": np.arange(20_000)}}

    AtomicCheckpointIO().save_checkpoint(checkpoint, tmp_path / "a.ckpt")

    assert read_checkpoint(tmp_path / "a.ckpt")["hyper_parameters"]["a"] == list(range(20_000))


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_a_training_with_odd_hyperparameters_is_tested_and_continued(tmp_path: Path) -> None:
    def trainer(epochs: int) -> pl.Trainer:
        quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        few: dict[str, Any] = {"limit_train_batches": 1, "limit_val_batches": 1, "limit_test_batches": 1}
        return pl.Trainer(
            default_root_dir=tmp_path,
            max_epochs=epochs,
            accelerator="cpu",
            plugins=[AtomicCheckpointIO()],
            **quiet,
            **few,
        )

    first = trainer(1)
    first.fit(Saving([np.float64(0.1), Path("a"), Mode.FAST, Schedule()]))
    path = first.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    first.test(ckpt_path=path, verbose=False, weights_only=True)
    second = trainer(2)
    second.fit(Saving(), ckpt_path=path, weights_only=True)

    assert second.global_step == 2
    assert Saving.load_from_checkpoint(path).hparams.odd == [0.1, "a", "fast", {"warmup": 5, "inner": None}]
