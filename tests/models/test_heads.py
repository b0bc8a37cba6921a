"""Several learning rates: which are accepted, how losses become one, and which head is the best."""

import math

import pytest
import torch
from torch import nn

from models import ResNetTransfer
from models.errors import ModelError
from models.heads import Heads, best_of, parsed_rates, summed

EXPECTED = "expected two or more numbers above 0, such as 0.1,0.01,0.001"


@pytest.mark.parametrize("given", ["0.1,0.01", "[0.1, 0.01]", [0.1, 0.01], (0.1, 0.01)])
def test_rates_are_numbers_or_a_list_in_words(given: object) -> None:
    assert parsed_rates(given) == (0.1, 0.01)  # type: ignore[arg-type]  # what the parser makes of a flag


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("0.1,fast", f"0.1,fast: {EXPECTED}"),
        ("0.1,", f"0.1,: {EXPECTED}"),
        ("", f": {EXPECTED}"),
        ("0.1", f"0.1: {EXPECTED}; for one, give --learning_rate"),
        ([], f": {EXPECTED}; for one, give --learning_rate"),
        ("0.1,0", f"0.1,0: 0 can't be a learning rate; {EXPECTED}"),
        ([0.1, -0.01], f"0.1,-0.01: -0.01 can't be a learning rate; {EXPECTED}"),
        ("0.1,nan", f"0.1,nan: nan can't be a learning rate; {EXPECTED}"),
        ("0.1,0.01,1e-1", "0.1,0.01,1e-1: 0.1 is there twice; give each learning rate once"),
    ],
)
def test_other_rates_are_refused(given: object, problem: str) -> None:
    with pytest.raises(ModelError) as refused:
        parsed_rates(given)  # type: ignore[arg-type]  # what the parser makes of a flag

    assert str(refused.value) == f"--model.learning_rates {problem}"


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"freeze_backbone": False}, "needs a frozen backbone, whose features all heads share; leave out"),
        ({"feature_views": 0}, "needs features; give --model.feature_views 1 or more"),
    ],
)
def test_they_need_features_of_a_frozen_backbone(setting: dict[str, object], problem: str) -> None:
    with pytest.raises(ModelError, match=f"^--model.learning_rates: {problem}"):
        ResNetTransfer(weights="none", learning_rates="0.1,0.01", **setting)  # type: ignore[arg-type]


def test_the_gradient_of_a_head_is_that_of_its_own_loss() -> None:
    losses = torch.tensor([0.25, math.inf, 3.0, math.nan], requires_grad=True)

    total = summed(list(losses))
    total.backward()  # type: ignore[no-untyped-call]

    assert total.item() == 3.25
    assert losses.grad is not None
    assert losses.grad[[0, 2]].tolist() == [1, 1]


def test_if_no_loss_is_finite_the_sum_is_not() -> None:
    assert math.isnan(summed([torch.tensor(math.nan), torch.tensor(1.0) * math.nan]))


@pytest.mark.parametrize(
    ("accuracies", "losses", "best"),
    [
        ([0.5, 0.75, 0.25], [1.0, 2.0, 0.5], 1),
        ([0.5, 0.75, 0.75], [1.0, 2.0, 1.5], 2),
        ([0.75, 0.75], [1.0, 1.0], 0),
        ([0.75, 0.75], [math.nan, 9.0], 1),
    ],
)
def test_the_best_head_has_the_highest_accuracy_and_then_the_lowest_loss(
    accuracies: list[float], losses: list[float], best: int
) -> None:
    means = [
        {"accuracy": torch.tensor(accuracy), "loss": torch.tensor(loss)}
        for accuracy, loss in zip(accuracies, losses, strict=True)
    ]

    assert best_of(means) == best


def test_the_chosen_head_is_the_layer_of_the_network_and_all_that_is_in_a_state_dict() -> None:
    network = nn.Sequential(nn.Linear(3, 2))
    layer = network[0]
    assert isinstance(layer, nn.Linear)
    both = nn.ModuleDict({"network": network, "heads": Heads(layer, (0.1, 0.01))})
    heads = both["heads"]
    assert isinstance(heads, Heads)

    heads.choose(1)
    with torch.no_grad():
        heads.parameters_of(1)[0].fill_(7)

    assert both.state_dict().keys() == {"network.0.weight", "network.0.bias"}
    assert torch.equal(both.state_dict()["network.0.weight"], torch.full((2, 3), 7.0))
    assert both.load_state_dict(both.state_dict()).missing_keys == []
    assert len(list(both.parameters())) == 4


def test_heads_of_other_rates_are_refused() -> None:
    saved = Heads(nn.Linear(3, 2), (0.1, 0.01)).saved()

    with pytest.raises(ModelError, match=r"training with learning rates 0.1, 0.01; give the same ones"):
        Heads(nn.Linear(3, 2), (0.1, 0.02)).load_saved(saved)
    with pytest.raises(ModelError, match="training with one learning rate; give the same ones"):
        Heads(nn.Linear(3, 2), (0.1, 0.02)).load_saved(None)
