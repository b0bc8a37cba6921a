"""Whether the training accepts each value that HyperDrive can draw."""

from collections.abc import Iterator, Sequence

from submit.errors import PreflightError
from submit.sweep.sweep import Parameter, Sweep
from submit.training_flags import training_flag_errors


def with_first_values(training: Sequence[str], sweep: Sweep) -> list[str]:
    """The flags of one run of the sweep."""
    return next(_runs(training, sweep.parameters))


def check_drawn_values(training: Sequence[str], sweep: Sweep) -> None:
    """Lets the training check all values of choices and both ends of ranges.

    Raises:
        PreflightError: The training doesn't accept some, with a line for each.
        SubmitError: The training can't check them.
    """
    errors = training_flag_errors([*_runs(training, sweep.parameters)], sweep.job.source_directory)
    if errors:
        raise PreflightError([_reason(message, sweep.parameters) for message in errors])


def _runs(training: Sequence[str], parameters: Sequence[Parameter]) -> Iterator[list[str]]:
    """Flags of so many runs that each value is in one of them."""
    for number in range(max(len(parameter.drawn) for parameter in parameters)):
        values = [(each.name, each.drawn[number % len(each.drawn)]) for each in parameters]
        yield [*training, *(f"--{name}={value}" for name, value in values)]


def _reason(message: str, parameters: Sequence[Parameter]) -> str:
    """The training's message, and what to give in place of a range that isn't one of whole numbers."""
    for parameter in parameters:
        blamed = message.partition(" ")[0].rpartition(".")[2].lstrip("-") == parameter.name.rpartition(".")[2]
        if blamed and parameter.distribution != "choice" and "whole number" in message:
            message += f"; {parameter.distribution} draws numbers with a decimal point, so give choice"
    return f"the training doesn't accept its flags: {message}"
