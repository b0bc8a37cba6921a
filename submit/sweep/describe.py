"""From the command line to the description of a sweep; a pure function of the flags and the files that they name."""

import argparse
from collections.abc import Sequence

from submit.describe import describe
from submit.errors import SubmitError
from submit.sweep.description import MAX_CONCURRENT, EarlyStopping, Parameter, Sweep, combinations


def describe_sweep(options: argparse.Namespace, training: Sequence[str]) -> Sweep:
    """The sweep that the flags ask for.

    Raises:
        SubmitError: Flags contradict one another, or a file can't be used.
    """
    parameters = tuple(options.param)
    words = [word for parameter in parameters for word in (f"--{parameter.name}", parameter.word)]
    max_runs = _max_runs(options, parameters)
    return Sweep(
        job=describe(options, [*training, *words]),
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
