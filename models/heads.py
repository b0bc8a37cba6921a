"""Several heads on the features of one frozen backbone, each with a learning rate of its own."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateFinder, WeightAveraging
from torch import Tensor, nn
from torch.nn import functional

from models.errors import ModelError

Evaluated = tuple[Tensor, Tensor, Tensor]
"""Of a batch: losses (K, B) and predicted labels (K, B) of K heads, labels (B,)."""

_FLAG = "--model.learning_rates"


def parsed_rates(given: Sequence[float] | str | None) -> tuple[float, ...]:
    """From ``0.1,0.01`` or a list of numbers to the learning rates; none if none is given.

    Raises:
        ModelError: Not at least two different finite numbers above 0.
    """
    if given is None:
        return ()
    shown = given if isinstance(given, str) else ",".join(map(str, given))
    expected = "expected two or more numbers above 0, such as 0.1,0.01,0.001"
    try:
        rates = tuple(float(rate) for rate in (given.strip("[]").split(",") if isinstance(given, str) else given))
    except ValueError:
        raise ModelError(f"{_FLAG} {shown}: {expected}") from None
    for rate in rates:
        if not (math.isfinite(rate) and rate > 0):
            raise ModelError(f"{_FLAG} {shown}: {rate:g} can't be a learning rate; {expected}")
        if rates.count(rate) > 1:
            raise ModelError(f"{_FLAG} {shown}: {rate:g} is there twice; give each learning rate once")
    if len(rates) < 2:
        raise ModelError(f"{_FLAG} {shown}: {expected}; for one, give --learning_rate")
    return rates


class Heads(nn.Module):
    """Linear layers, one for each learning rate, of which one, the chosen one, is also the last layer of a network.

    They are trained by the sum of their losses: the gradient of a head is that of its own loss. In a ``state_dict``
    there is only the chosen one, under its name in the network; ``saved`` has all of them.

    Args:
        layer: The last layer of the network, whose weights become those of the chosen head.
        rates: The learning rates.
    """

    def __init__(self, layer: nn.Linear, rates: Sequence[float]) -> None:
        super().__init__()
        self.rates = tuple(rates)
        self.chosen = 0
        self._layers = [layer]  # in a list, so that it isn't a submodule of this one
        for number in range(len(self.rates)):
            self.register_parameter(f"weight_{number}", nn.Parameter(layer.weight.detach().clone()))
            self.register_parameter(f"bias_{number}", nn.Parameter(layer.bias.detach().clone()))
        self.choose(0)

    def parameters_of(self, number: int) -> tuple[nn.Parameter, nn.Parameter]:
        """Weight and bias of a head."""
        return self.get_parameter(f"weight_{number}"), self.get_parameter(f"bias_{number}")

    def logits(self, features: Tensor) -> Iterator[Tensor]:
        """From features (B, F) to the logits (B, C) of each head."""
        return (functional.linear(features, *self.parameters_of(number)) for number in range(len(self.rates)))

    def choose(self, number: int) -> None:
        """Makes a head the last layer of the network: they have the same parameters from now on."""
        self.chosen = number
        layer = self._layers[0]
        layer.weight, layer.bias = self.parameters_of(number)

    def begin_equal(self) -> None:
        """All heads become the chosen one."""
        with torch.no_grad():
            for number in range(len(self.rates)):
                for own, chosen in zip(self.parameters_of(number), self.parameters_of(self.chosen), strict=True):
                    own.copy_(chosen)

    def saved(self) -> dict[str, Any]:
        """All heads, as values that torch loads safely."""
        return {
            "rates": list(self.rates),
            "chosen": self.chosen,
            "parameters": [[each.detach() for each in self.parameters_of(n)] for n in range(len(self.rates))],
        }

    def load_saved(self, saved: Mapping[str, Any] | None) -> None:
        """Restores what ``saved`` has returned.

        Raises:
            ModelError: There is nothing, or it is of other learning rates.
        """
        rates = saved["rates"] if saved else []
        if saved is None or list(self.rates) != list(rates):
            found = f"learning rates {', '.join(f'{rate:g}' for rate in rates)}" if rates else "one learning rate"
            raise ModelError(
                f"{_FLAG} {','.join(f'{rate:g}' for rate in self.rates)}: the checkpoint is of a training with "
                f"{found}; give the same ones, or --resume never to start a new run"
            )
        with torch.no_grad():
            for number, parameters in enumerate(saved["parameters"]):
                for own, value in zip(self.parameters_of(number), parameters, strict=True):
                    own.copy_(value)
        self.choose(saved["chosen"])

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Nothing: see the class."""

    def _load_from_state_dict(self, *_: Any) -> None:
        """Nothing: see the class."""


def summed(losses: Sequence[Tensor]) -> Tensor:
    """The sum of the losses of the heads; those that are NaN or infinite are left out unless all are."""
    every = torch.stack(list(losses))
    finite = every.isfinite()
    return torch.where(finite.any(), torch.where(finite, every, 0).sum(), every.sum())


def best_of(means: Sequence[Mapping[Any, Tensor]]) -> int:
    """The number of the head with the highest ``accuracy``; of equal ones that with the lowest ``loss``."""

    def merit(number: int) -> tuple[float, float]:
        loss = float(means[number]["loss"])
        return float(means[number]["accuracy"]), -loss if math.isfinite(loss) else -math.inf

    return max(range(len(means)), key=merit)


def require_apart(trainer: pl.Trainer) -> None:
    """Checks that nothing in a training would let one head change another one.

    Raises:
        ModelError: Something would.
    """
    if trainer.gradient_clip_val and trainer.gradient_clip_algorithm != "value":
        raise ModelError(
            f"{_FLAG}: --trainer.gradient_clip_val {trainer.gradient_clip_val} would clip the norm over all heads; "
            "give --trainer.gradient_clip_algorithm value, or one --learning_rate"
        )
    if trainer.precision == "16-mixed":
        raise ModelError(
            f"{_FLAG}: --trainer.precision 16-mixed scales the gradients of all heads together; give bf16-mixed or 32"
        )
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector of Lightning
        if isinstance(callback, WeightAveraging | LearningRateFinder):
            raise ModelError(f"{_FLAG}: {type(callback).__name__} works with one --learning_rate only")
