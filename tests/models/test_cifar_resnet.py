"""The residual network for small images, its settings, and the schedule of its learning rate."""

from pathlib import Path

import pytest
import torch
from torch import nn

from models import CifarNet, CifarResNet, ModelError
from models.optimizers import one_cycle
from tests.models.test_models import images, trainer


def test_it_has_eight_convolutions_and_labels_images_of_32_pixels() -> None:
    model = CifarResNet(width=4, classes=["a", "b", "c"])

    assert sum(isinstance(layer, nn.Conv2d) for layer in model.modules()) == 8
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)
    assert sum(parameter.numel() for parameter in CifarResNet().parameters()) == 412_954


def test_all_of_it_is_trained_and_its_weights_decay(tmp_path: Path) -> None:
    model = CifarResNet(width=2, weight_decay=0.01, classes=["a", "b"])
    before = [parameter.detach().clone() for parameter in model.parameters()]

    trainer(tmp_path).fit(model, images(8))

    assert all(not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    group = model.trainer.optimizers[0].param_groups[0]
    assert (group["weight_decay"], group["nesterov"]) == (0.01, True)


def test_label_smoothing_changes_the_training_loss_only(tmp_path: Path) -> None:
    losses = {}
    for smoothing in (0.0, 0.5):
        torch.manual_seed(0)
        model = CifarResNet(learning_rate=1e-9, width=2, label_smoothing=smoothing, classes=["a", "b"])
        run = trainer(tmp_path)
        run.fit(model, images(8), images(8))
        losses[smoothing] = {name: float(value) for name, value in run.callback_metrics.items()}

    assert losses[0.5]["train_loss"] != pytest.approx(losses[0.0]["train_loss"], abs=1e-3)
    assert losses[0.5]["val_loss"] == pytest.approx(losses[0.0]["val_loss"], abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "--model.width 0: expected a whole number of channels"),
        ({"weight_decay": -1.0}, "--model.weight_decay -1.0: expected a finite number"),
        ({"weight_decay": float("nan")}, "--model.weight_decay nan"),
        ({"label_smoothing": 1.0}, "--model.label_smoothing 1.0: expected a number from 0 to below 1"),
        ({"learning_rate": 0.0}, "--learning_rate 0.0"),
    ],
)
def test_a_value_out_of_range_is_one_line(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        CifarResNet(**settings)  # type: ignore[arg-type]  # numbers


@pytest.mark.parametrize("steps", [1, 2, 7, 100])
def test_the_rate_rises_for_a_fifth_of_the_steps_and_falls_to_nothing(steps: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    schedule = one_cycle(optimizer, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()

    top = rates.index(max(rates))
    assert all(0 < rate <= 0.5 for rate in rates)
    assert rates == [*sorted(rates[:top]), *sorted(rates[top:], reverse=True)]
    assert optimizer.param_groups[0]["lr"] == 0
    assert top <= max(1, round(0.2 * steps))
    if steps == 100:
        assert max(rates) == pytest.approx(0.5)


def test_a_schedule_without_an_end_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs the number of steps; give --num_epochs"):
        trainer(tmp_path, max_epochs=-1).fit(CifarNet(schedule="one_cycle"), images(8))


def test_the_schedule_ends_with_the_last_step_of_all_epochs(tmp_path: Path) -> None:
    run = trainer(tmp_path, max_epochs=3)

    run.fit(CifarNet(schedule="one_cycle"), images(8))

    assert run.global_step == 6
    assert run.optimizers[0].param_groups[0]["lr"] == 0
