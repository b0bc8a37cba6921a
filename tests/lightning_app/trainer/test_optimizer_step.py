"""A step without what torch does around it updates parameters and state as torch's own step does, bit by bit."""

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import StepLR
from torch.optim.optimizer import register_optimizer_step_pre_hook

from lightning_app.trainer.optimizer_step import step_with

STEPS = 5
OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "fused": lambda groups: SGD(groups, 0.1, fused=True),
    "momentum": lambda groups: SGD(groups, 0.1, momentum=0.9, fused=True),
    "nesterov": lambda groups: SGD(groups, 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True),
    "dampening": lambda groups: SGD(groups, 0.1, momentum=0.5, dampening=0.3, fused=True),
    "maximize": lambda groups: SGD(groups, 0.1, momentum=0.9, maximize=True, fused=True),
    "rate in a tensor": lambda groups: SGD(groups, torch.tensor(0.2), momentum=0.9, fused=True),
    "not fused": lambda groups: SGD(groups, 0.1, momentum=0.9),
    "Adam": lambda groups: Adam(groups, 0.1, fused=True),
}


class Branches(nn.Module):
    """The last of its layers has no gradient in the first two steps; its kernels aren't contiguous."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
        self.later = nn.Linear(5, 5)
        self.to(memory_format=torch.channels_last)

    def groups(self) -> list[dict[str, Any]]:
        layers = (self.first, {}), (self.second, {"lr": 0.05}), (self.later, {"lr": 0.05})
        return [{"params": layer.parameters()} | options for layer, options in layers]

    def forward(self, images: Tensor, step: int) -> Tensor:
        features = self.second(self.first(images)).mean((2, 3))
        return self.later(features) if step >= 2 else features


class Training:
    """Steps of one network with one optimizer; as ours or as torch's own."""

    def __init__(self, make: Callable[[Any], Optimizer]) -> None:
        self.network = Branches()
        self.optimizer = make(self.network.groups())
        self.losses: list[Any] = []

    def run(self, ours: bool, steps: range = range(STEPS)) -> None:
        for number in steps:

            def closure(number: int = number) -> Tensor:
                images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(number))
                self.optimizer.zero_grad()
                loss = self.network(images.to(memory_format=torch.channels_last), number).square().mean()
                loss.backward()
                return loss

            step = step_with(self.optimizer, closure) if ours else lambda: self.optimizer.step(closure)
            self.losses.append(step())

    def values(self) -> dict[str, Tensor]:
        states = self.optimizer.state_dict()["state"]
        of_optimizer = {
            f"{name} of {number}": value
            for number, state in states.items()
            for name, value in state.items()
            if value is not None
        }
        return self.network.state_dict() | of_optimizer | {"losses": torch.stack(self.losses)}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[SGD]:
    """For each time that torch's own step of SGD collects a group's tensors."""
    collected: list[SGD] = []
    collect = SGD._init_group

    def noting(self: SGD, *arguments: Any) -> Any:
        collected.append(self)
        return collect(self, *arguments)

    monkeypatch.setattr(SGD, "_init_group", noting)
    return collected


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_parameters_and_state_are_those_of_torchs_own_step(make: Callable[[Any], Optimizer]) -> None:
    ours, torchs = Training(make), Training(make)

    ours.run(ours=True)
    torchs.run(ours=False)

    assert_equal(ours.values(), torchs.values())


@pytest.mark.parametrize("ours_first", [True, False])
def test_training_continues_from_a_step_of_the_other_kind(ours_first: bool) -> None:
    mixed, whole = (Training(OPTIMIZERS["nesterov"]) for _ in range(2))

    mixed.run(ours_first, range(3))
    mixed.run(not ours_first, range(3, STEPS))
    whole.run(ours=False)

    assert_equal(mixed.values(), whole.values())


@pytest.mark.parametrize(("name", "steps"), [("fused", 0), ("momentum", 2), ("not fused", STEPS)])
def test_torch_only_prepares_what_is_new(name: str, steps: int, prepared: list[SGD]) -> None:
    """With momentum the first step, and the one in which the last layer has its first gradient."""
    training = Training(OPTIMIZERS[name])

    training.run(ours=True)

    assert prepared == [training.optimizer] * steps * len(training.optimizer.param_groups)


def test_a_rate_that_is_changed_between_two_steps_counts() -> None:
    ours, torchs = Training(OPTIMIZERS["momentum"]), Training(OPTIMIZERS["momentum"])
    for training in (ours, torchs):
        training.run(training is ours, range(3))
        training.optimizer.param_groups[0]["lr"] = 0.03
        training.run(training is ours, range(3, STEPS))

    assert_equal(ours.values(), torchs.values())


def test_parameters_of_several_types_are_sorted_by_torch(prepared: list[SGD]) -> None:
    weights = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, dtype=torch.float64))]
    optimizer = SGD(weights, lr=0.5, fused=True)

    def closure() -> Tensor:
        loss = (2 * weights[0].double() + weights[1]).sum()
        loss.backward()
        return loss

    assert step_with(optimizer, closure)() == 6
    assert prepared == [optimizer]
    assert [weight.tolist() for weight in weights] == [[0, 0], [0.5, 0.5]]


def test_sparse_gradients_have_torchs_own_error() -> None:
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = SGD(table.parameters(), lr=0.5, fused=True)

    def closure() -> Tensor:
        loss = table(torch.tensor([1])).sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        step_with(optimizer, closure)()


@pytest.mark.parametrize("of_all", [True, False])
def test_hooks_are_called(of_all: bool) -> None:
    training = Training(OPTIMIZERS["momentum"])
    seen: list[Any] = []
    register = register_optimizer_step_pre_hook if of_all else training.optimizer.register_step_pre_hook
    handle = register(lambda optimizer, *_: seen.append(optimizer))

    try:
        training.run(ours=True)
    finally:
        handle.remove()

    assert seen == [training.optimizer] * STEPS


@pytest.mark.parametrize("of_schedule", [True, False])
def test_another_wrapper_of_the_step_is_called(of_schedule: bool) -> None:
    training = Training(OPTIMIZERS["momentum"])
    if of_schedule:
        StepLR(training.optimizer, 1)
    seen: list[Any] = []
    step = training.optimizer.step

    @wraps(step)
    def wrapper(*arguments: Any) -> Any:
        seen.append(arguments)
        return step(*arguments)

    training.optimizer.step = wrapper  # type: ignore[method-assign]
    training.run(ours=True)

    assert len(seen) == STEPS


def test_a_schedule_knows_of_the_step(prepared: list[SGD]) -> None:
    ours, torchs = Training(OPTIMIZERS["momentum"]), Training(OPTIMIZERS["momentum"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a schedule whose optimizer had no step
        for training in (ours, torchs):
            schedule = StepLR(training.optimizer, 1, gamma=0.5)
            for number in range(STEPS):
                training.run(training is ours, range(number, number + 1))
                schedule.step()

    assert_equal(ours.values(), torchs.values())
    is_known = hasattr(ours.optimizer.step, "__wrapped__")  # that of torch 2.4 doesn't say what it wraps
    assert (prepared.count(ours.optimizer) < prepared.count(torchs.optimizer)) == is_known
