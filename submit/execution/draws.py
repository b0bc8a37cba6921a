"""Draws the hyperparameters of a sweep, as HyperDrive would: from a grid, or at random.

Bayesian sampling draws at random as well, because the emulator doesn't learn from finished runs.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Space = Mapping[str, Sequence[Any]]  # by name: the distribution and its arguments, as azureml-train-core sends them


@dataclass(frozen=True)
class Wanted:
    """What a sweep draws: from which space, from all of it or at random, how many runs, and how many at a time."""

    space: Space
    is_grid: bool
    total: int
    concurrent: int


def draw(space: Space, is_grid: bool, count: int, seed: str) -> Iterator[dict[str, Any]]:
    """The values of each run: at most ``count`` different ones.

    Raises:
        ValueError: The space has a distribution that the emulator doesn't know.
    """
    if is_grid:
        values = [_choices(arguments) for _, arguments in space.values()]
        for combination in itertools.islice(itertools.product(*values), count):
            yield dict(zip(space, combination, strict=True))
        return
    numbers = random.Random(seed)  # noqa: S311 repeatable, not secret
    seen: list[dict[str, Any]] = []
    for _ in range(100 * count):
        drawn = {name: _value(numbers, kind, arguments) for name, (kind, arguments) in space.items()}
        if drawn not in seen:
            seen.append(drawn)
            yield drawn
        if len(seen) == count:
            return


def _choices(arguments: Sequence[Any]) -> list[Any]:
    return list(arguments[0]) if len(arguments) == 1 and isinstance(arguments[0], list) else list(arguments)


def _value(numbers: random.Random, kind: str, arguments: Sequence[Any]) -> Any:
    if kind == "choice":
        return numbers.choice(_choices(arguments))
    if kind == "randint":
        return numbers.randrange(arguments[0])
    name, step = (kind[1:], arguments[-1]) if kind.startswith("q") else (kind, None)
    if name in ("normal", "lognormal"):
        drawn = numbers.gauss(arguments[0], arguments[1])
    elif name in ("uniform", "loguniform"):
        drawn = numbers.uniform(arguments[0], arguments[1])
    else:
        raise ValueError(f"the emulator can't draw from {kind!r}")
    drawn = math.exp(drawn) if name.startswith("log") else drawn
    return drawn if step is None else float(round(drawn / step) * step)
