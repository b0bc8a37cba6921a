"""The optimizer with less around torch's kernel updates the parameters as torch's own does, bit by bit."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.fused_sgd import FusedSGD, of_one_kind
from models.optimizers import sgd

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
    "dampening": {"momentum": 0.5, "dampening": 0.3},
    "maximize": {"momentum": 0.9, "maximize": True},
    "rate_in_a_tensor": {"momentum": 0.9, "lr": torch.tensor(0.2)},
}


class Branches(nn.Module):
    """One of its layers has no gradient in the first steps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3)
        self.later = nn.Linear(5, 5)
        self.to(memory_format=torch.channels_last)

    def groups(self) -> list[dict[str, Any]]:
        return [
            {"params": self.first.parameters()},
            {"params": [*self.second.parameters(), *self.later.parameters()], "lr": 0.05},
        ]

    def groups_of_torch(self) -> list[dict[str, Any]]:
        """The same, as torch's fused SGD takes them: it ends with an error where a part of a group has no gradient."""
        layers = (self.first, {}), (self.second, {"lr": 0.05}), (self.later, {"lr": 0.05})
        return [{"params": layer.parameters()} | options for layer, options in layers]

    def forward(self, images: Tensor, step: int) -> Tensor:
        features = self.second(self.first(images)).mean((2, 3))
        return self.later(features) if step >= 2 else features


def train(network: Branches, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        network(images.to(memory_format=torch.channels_last), step).square().mean().backward()
        optimizer.step()


def values(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    momenta = {
        f"momentum {number}": state["momentum_buffer"]
        for number, state in optimizer.state_dict()["state"].items()
        if state.get("momentum_buffer") is not None
    }
    return network.state_dict() | momenta


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_parameters_and_state_are_those_of_torchs_own(options: dict[str, Any]) -> None:
    ours, torchs = Branches(), Branches()
    options = {"lr": 0.1} | options
    optimizers = FusedSGD(ours.groups(), **options), torch.optim.SGD(torchs.groups_of_torch(), fused=True, **options)

    train(ours, optimizers[0], range(5))
    train(torchs, optimizers[1], range(5))

    assert_equal(values(ours, optimizers[0]), values(torchs, optimizers[1]))


@pytest.mark.parametrize("kinds", [(FusedSGD, torch.optim.SGD), (torch.optim.SGD, FusedSGD)], ids=["to", "from"])
def test_training_continues_from_a_state_of_torchs_own_and_the_other_way_round(kinds: tuple[Any, Any]) -> None:
    whole, interrupted, resumed = Branches(), Branches(), Branches()
    whole_optimizer, before, after = (
        kind(network.groups_of_torch(), lr=0.1, momentum=0.9, **({} if kind is FusedSGD else {"fused": True}))
        for kind, network in zip((kinds[0], *kinds), (whole, interrupted, resumed), strict=True)
    )
    train(whole, whole_optimizer, range(5))

    train(interrupted, before, range(3))
    resumed.load_state_dict(interrupted.state_dict())
    after.load_state_dict(before.state_dict())
    train(resumed, after, range(3, 5))

    assert_equal(values(resumed, after), values(whole, whole_optimizer))


def test_hooks_and_closures_are_called() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = FusedSGD([weight], lr=0.5)
    seen: list[str] = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))

    def closure() -> Tensor:
        loss = (2 * weight).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        loss = optimizer.step(closure)

    assert seen == ["before", "after"]
    assert (loss.item(), weight.tolist()) == (6, [0, 0, 0])


def test_parameters_of_several_types_have_torchs_own_optimizer() -> None:
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, dtype=torch.float64))]

    assert type(sgd(parameters[:1], 0.1, 0.9, None)) is FusedSGD
    assert not of_one_kind(parameters)
    assert type(sgd(parameters, 0.1, 0.9, None)) is torch.optim.SGD
