"""From the command line to the description of a sweep."""

import argparse
import math
import re
from collections.abc import Sequence
from typing import get_args

from submit.describe import describe_job
from submit.errors import SubmitError
from submit.sweep.sweep import MAX_CONCURRENT, Distribution, EarlyStopping, Parameter, Sweep, Value, combinations


def describe_sweep(options: argparse.Namespace, training: Sequence[str]) -> Sweep:
    """The sweep that the flags ask for.

    Raises:
        SubmitError: Flags contradict one another, or a file can't be used.
    """
    parameters = tuple(options.param)
    words = [word for parameter in parameters for word in (f"--{parameter.name}", parameter.word)]
    max_runs = _max_runs(options, parameters)
    return Sweep(
        job=describe_job(options, [*training, *words]),
        parameters=parameters,
        sampling=options.sampling,
        metric=options.metric,
        goal=options.goal,
        max_runs=max_runs,
        max_concurrent=options.max_concurrent or min(max_runs, MAX_CONCURRENT),
        stopping=_stopping(options),
    )


def with_first_values(training: Sequence[str], sweep: Sweep) -> list[str]:
    """The flags of one of its runs."""
    return [*training, *(f"--{parameter.name}={parameter.first}" for parameter in sweep.parameters)]


def _max_runs(options: argparse.Namespace, parameters: tuple[Parameter, ...]) -> int:
    if options.max_runs is None and options.sampling != "grid":
        raise SubmitError(f"--sampling {options.sampling}: has no end of its own; give --max_runs")
    return int(options.max_runs or combinations(parameters))


def _stopping(options: argparse.Namespace) -> EarlyStopping | None:
    given = {name: getattr(options, name) for name in ("slack_factor", "evaluation_interval", "delay_evaluation")}
    given = {name: value for name, value in given.items() if value is not None}
    if options.policy == "bandit" and "slack_factor" not in given:
        raise SubmitError("--policy bandit: give --slack_factor, the share by which a run may fall behind the best one")
    if options.policy != "bandit" and "slack_factor" in given:
        raise SubmitError(f"--slack_factor: is of --policy bandit; --policy {options.policy} takes none")
    if options.policy == "none" and given:
        raise SubmitError(f"--{next(iter(given))}: there is no --policy whose it could be; give bandit or median")
    return None if options.policy == "none" else EarlyStopping(options.policy, **given)


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
