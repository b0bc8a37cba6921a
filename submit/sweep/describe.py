"""Describes the sweep that the options mean, and parses its parameters."""

import argparse
import math
import re
from collections.abc import Sequence
from typing import get_args

from submit.describe import describe_job
from submit.errors import SubmitError
from submit.options import JobOptions, SweepOptions
from submit.sweep.sweep import MAX_CONCURRENT, Distribution, EarlyStopping, Parameter, Sweep, Value, combinations


def describe_sweep(
    job_options: JobOptions, options: SweepOptions, training: Sequence[str], extra: str | None = None
) -> Sweep:
    """The sweep that the options mean; ``extra`` as for ``describe_job``.

    Raises:
        SubmitError: Options exclude one another, or a file can't be used.
    """
    flags = [text for each in options.parameters for text in (f"--{each.name}", each.placeholder)]
    max_runs = _max_runs(options)
    return Sweep(
        job=describe_job(job_options, [*training, *flags], extra),
        parameters=options.parameters,
        sampling=options.sampling,
        metric=options.metric,
        goal=options.goal,
        max_runs=max_runs,
        max_concurrent=options.max_concurrent or min(max_runs, MAX_CONCURRENT),
        stopping=_stopping(options),
    )


def _max_runs(options: SweepOptions) -> int:
    if options.max_runs is None and options.sampling != "grid":
        raise SubmitError(f"--sampling {options.sampling}: never ends by itself; give --max_runs")
    return options.max_runs or combinations(options.parameters)


def _stopping(options: SweepOptions) -> EarlyStopping | None:
    names = ("slack_factor", "evaluation_interval", "delay_evaluation")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.policy == "bandit" and "slack_factor" not in given:
        raise SubmitError("--policy bandit: give --slack_factor, the share by which a run may fall behind the best one")
    if options.policy != "bandit" and "slack_factor" in given:
        raise SubmitError(f"--slack_factor: is only for --policy bandit; --policy {options.policy} has none")
    if options.policy == "none" and given:
        raise SubmitError(f"--{next(iter(given))}: is only for a --policy; give --policy bandit or median")
    return None if options.policy == "none" else EarlyStopping(options.policy, **given)


_PARAMETER = re.compile(r"(?P<name>[A-Za-z_]\w*(\.\w+)*)=(?P<distribution>\w+)\((?P<arguments>.*)\)", re.ASCII)
_TEXT = re.compile(r"[\w.,:/+@%-]+")  # the job's shell inserts the value into the command without quoting
_BOUNDS = ("the smallest value", "the largest value", "the step")
_COUNTS = {"uniform": 2, "loguniform": 2, "quniform": 3}


def parameter(text: str) -> Parameter:
    """Parses the value of a flag ``--param``.

    Raises:
        ArgumentTypeError: It isn't a parameter.
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
    # HyperDrive accepts strings or numbers, not both
    return tuple(texts) if any(isinstance(value, str) for value in values) else tuple(values)


def _range(text: str, distribution: Distribution, values: list[Value]) -> tuple[Value, ...]:
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) != len(values) or len(numbers) != _COUNTS[distribution]:
        expected = ", ".join(_BOUNDS[: _COUNTS[distribution]])
        raise argparse.ArgumentTypeError(f"{text!r} given; {distribution} takes {expected}, all numbers")
    if numbers[0] >= numbers[1]:
        raise argparse.ArgumentTypeError(f"{text!r} given; {numbers[0]} isn't less than {numbers[1]}")
    if distribution == "loguniform" and numbers[0] <= 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} given; expected the smallest and the largest value themselves, such as loguniform(0.0001,0.1), "
            "both above 0, and not their logarithms"
        )
    if distribution == "quniform" and not (isinstance(numbers[2], int) and numbers[2] > 0):
        raise argparse.ArgumentTypeError(
            f"{text!r} given; HyperDrive accepts an integer step of 1 or more, found {numbers[2]}"
        )
    return tuple(numbers)
