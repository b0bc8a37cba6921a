"""What Lightning's open issues about resuming within an epoch describe, and what happens here; see docs/resume.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from tests.lightning_app.checkpointing.test_exact_resume import EachStep, Noisy, assert_same_end, fit, points


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes back the variables of Lightning's seed_everything after the test."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")


class Order(Callback):
    """Notes the steps and the batches in which training and validation come."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, int, int]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.noted.append(("training", trainer.global_step, batch_idx))

    def on_validation_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.noted.append(("validation", trainer.global_step, batch_idx))


@pytest.mark.parametrize("step", [3, 4, 6, 8, 13])
def test_steps_and_batches_are_numbered_as_if_nothing_had_happened(step: int, tmp_path: Path) -> None:
    """Lightning #19367: the numbers of batches and steps shift against each other."""
    whole, resumed, data = Order(), Order(), (points(), points(shuffle=False))
    fit(Noisy(), data, tmp_path, callbacks=[EachStep(tmp_path), whole], val_check_interval=4)

    fit(Noisy(), data, tmp_path, tmp_path / f"step={step}.ckpt", callbacks=[resumed], val_check_interval=4)

    assert resumed.noted == whole.noted[len(whole.noted) - len(resumed.noted) :]
    assert next(each for each in resumed.noted if each[0] == "training") == ("training", step, step % 11)


@pytest.mark.parametrize("step", [3, 6])
def test_a_validation_after_a_resume_has_all_its_batches(step: int, tmp_path: Path) -> None:
    """Lightning #19549: it has one."""
    resumed, data = Order(), (points(), points(shuffle=False))
    fit(Noisy(), data, tmp_path, callbacks=[EachStep(tmp_path)], val_check_interval=4)

    fit(Noisy(), data, tmp_path, tmp_path / f"step={step}.ckpt", callbacks=[resumed], val_check_interval=4)

    first = next(each[1] for each in resumed.noted if each[0] == "validation")
    assert [each[2] for each in resumed.noted if each[:2] == ("validation", first)] == list(range(11))


class Stateful:
    """A loader that knows its own position, as ``StatefulDataLoader`` does."""

    def __init__(self) -> None:
        self.position = 0

    def __len__(self) -> int:
        return 11

    def __iter__(self) -> Iterator[list[Tensor]]:
        for index in range(self.position % len(self), len(self)):
            self.position = index + 1
            yield [torch.full((4, 3), index / 11), torch.full((4, 1), index / 5)]

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = state["position"]


class OneCycle(Noisy):
    """Asks for the number of steps while the optimizer is made."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.05)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


@pytest.mark.parametrize("step", [3, 15])
def test_a_stateful_loader_continues_also_where_the_number_of_steps_was_asked_for(step: int, tmp_path: Path) -> None:
    """Lightning #20550: it begins again."""
    whole, resumed = OneCycle(), OneCycle()
    _, expected = fit(whole, (Stateful(), points(shuffle=False)), tmp_path, callbacks=[EachStep(tmp_path)])

    _, rows = fit(resumed, (Stateful(), points(shuffle=False)), tmp_path, tmp_path / f"step={step}.ckpt")

    assert_same_end(resumed, whole)
    assert rows.rows == expected.rows[len(expected.rows) - len(rows.rows) :]
