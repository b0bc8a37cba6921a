"""From ``NAME=choice(0.001,0.01)`` to a parameter."""

import argparse
import math
import re
from typing import get_args

from submit.sweep.description import Distribution, Parameter, Value

_PARAMETER = re.compile(r"(?P<name>[A-Za-z_]\w*(\.\w+)*)=(?P<distribution>\w+)\((?P<arguments>.*)\)", re.ASCII)
_TEXT = re.compile(r"[\w.,:/+@%-]+")  # the job's shell puts the value into the command as it is
_BOUNDS = ("the least value", "the largest value", "the step")
_COUNTS = {"uniform": 2, "loguniform": 2, "quniform": 3}


def parameter(text: str) -> Parameter:
    """The value of a flag --param.

    Raises:
        ArgumentTypeError: It isn't one.
    """
    found = _PARAMETER.fullmatch(text)
    if found is None or found["distribution"] not in get_args(Distribution):
        raise argparse.ArgumentTypeError(
            f"{text!r} given; expected NAME=choice(A,B,...), NAME=uniform(A,B), NAME=loguniform(A,B) or "
            "NAME=quniform(A,B,STEP), NAME being a flag of the training without its dashes"
        )
    values = [_value(part.strip()) for part in found["arguments"].split(",")]
    distribution: Distribution = found["distribution"]  # type: ignore[assignment]  # looked up above
    return Parameter(found["name"], distribution, _checked(text, distribution, values))


def _value(text: str) -> Value:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text


def _checked(text: str, distribution: Distribution, values: list[Value]) -> tuple[Value, ...]:
    return _choice(text, values) if distribution == "choice" else _range(text, distribution, values)


def _choice(text: str, values: list[Value]) -> tuple[Value, ...]:
    texts = [str(value) for value in values]
    for value in texts:
        if not _TEXT.fullmatch(value):
            raise argparse.ArgumentTypeError(
                f"{text!r} given; the value {value!r} can't be in a command; expected letters, digits and _.:/+@%-"
            )
    if len(set(texts)) != len(texts):
        raise argparse.ArgumentTypeError(f"{text!r} given; expected each value once")
    # HyperDrive takes texts or numbers, not both
    return tuple(texts) if any(isinstance(value, str) for value in values) else tuple(values)


def _range(text: str, distribution: Distribution, values: list[Value]) -> tuple[Value, ...]:
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) != len(values) or len(numbers) != _COUNTS[distribution]:
        expected = ", ".join(_BOUNDS[: _COUNTS[distribution]])
        raise argparse.ArgumentTypeError(f"{text!r} given; {distribution} takes {expected}, all of them numbers")
    if numbers[0] >= numbers[1]:
        raise argparse.ArgumentTypeError(f"{text!r} given; {numbers[0]} isn't less than {numbers[1]}")
    if distribution == "loguniform" and numbers[0] <= 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} given; expected the least and the largest value themselves, such as loguniform(0.0001,0.1), "
            "both above 0, and not their logarithms"
        )
    if distribution == "quniform" and not (isinstance(numbers[2], int) and numbers[2] > 0):
        raise argparse.ArgumentTypeError(
            f"{text!r} given; HyperDrive takes a step of a whole number, 1 or more, found {numbers[2]}"
        )
    return tuple(numbers)
