"""What HyperDrive would refuse, or would take and never come to an end with."""

from collections.abc import Iterator, Sequence

from submit.preflight.findings import Finding, error, tell_findings, warning
from submit.sweep.description import MAX_CONCURRENT, Parameter, Sweep, combinations
from submit.sweep.metrics import check_metric

MAX_RUNS = 1000  # azureml-train-core sends no more, nor more than MAX_CONCURRENT at a time
_BAYESIAN = ("choice", "uniform", "quniform")
_RUNS_A_PARAMETER = 20  # which azureml-train-core advises for Bayesian sampling, and no more at a time
_CONCURRENT = 20


def check_sweep(sweep: Sweep, training: Sequence[str]) -> None:
    """Tells of what may be meant otherwise.

    Raises:
        PreflightError: The sweep must not be sent; it has a line for each reason.
    """
    tell_findings(_findings(sweep, training))


def _findings(sweep: Sweep, training: Sequence[str]) -> Iterator[Finding]:
    yield from check_metric(sweep, training)
    yield from _check_counts(sweep)
    yield from _check_names(sweep.parameters, training)
    if sweep.sampling == "grid":
        yield from _check_grid(sweep)
    if sweep.sampling == "bayesian":
        yield from _check_bayesian(sweep)


def _check_counts(sweep: Sweep) -> Iterator[Finding]:
    if sweep.max_concurrent > sweep.max_runs:
        yield error(f"--max_concurrent {sweep.max_concurrent}: more than the {sweep.max_runs} runs that there will be")
    if sweep.max_concurrent > MAX_CONCURRENT:
        yield error(f"--max_concurrent {sweep.max_concurrent}: HyperDrive takes {MAX_CONCURRENT} at most")
    if sweep.max_runs > MAX_RUNS:
        yield error(f"{sweep.max_runs} runs: HyperDrive takes {MAX_RUNS} at most; give fewer values, or --max_runs")


def _check_names(parameters: Sequence[Parameter], training: Sequence[str]) -> Iterator[Finding]:
    flags = [word.partition("=")[0][2:] for word in training if word.startswith("--")]
    for position, parameter in enumerate(parameters):
        if any(_same(parameter.name, flag) for flag in flags):
            yield error(f"--{parameter.name}: --param draws its values; don't give it one as well")
        if any(_same(parameter.name, other.name) or parameter.key == other.key for other in parameters[:position]):
            yield error(f"--param {parameter.name}: given twice")


def _same(name: str, other: str) -> bool:
    """--learning_rate is short for --model.learning_rate."""
    return name == other or (("." in name) != ("." in other) and name.rpartition(".")[2] == other.rpartition(".")[2])


def _check_grid(sweep: Sweep) -> Iterator[Finding]:
    continuous = [parameter for parameter in sweep.parameters if parameter.distribution != "choice"]
    for parameter in continuous:
        yield error(
            f"--param {parameter.name}: {parameter.distribution} has no grid; give choice, or --sampling random"
        )
    if not continuous and combinations(sweep.parameters) > sweep.max_runs:
        yield warning(
            f"--max_runs {sweep.max_runs}: the grid has {combinations(sweep.parameters)} combinations, so that not all "
            "are tried"
        )


def _check_bayesian(sweep: Sweep) -> Iterator[Finding]:
    if sweep.stopping:
        yield error(
            f"--policy {sweep.stopping.policy}: HyperDrive ends no run early with --sampling bayesian; give none"
        )
    for parameter in sweep.parameters:
        if parameter.distribution not in _BAYESIAN:
            yield error(
                f"--param {parameter.name}: --sampling bayesian takes {', '.join(_BAYESIAN)}; found "
                f"{parameter.distribution}"
            )
    advised = _RUNS_A_PARAMETER * len(sweep.parameters)
    if sweep.max_runs < advised:
        yield warning(f"--max_runs {sweep.max_runs}: for --sampling bayesian {advised} or more are advised")
    if sweep.max_concurrent > _CONCURRENT:
        yield warning(
            f"--max_concurrent {sweep.max_concurrent}: for --sampling bayesian {_CONCURRENT} or fewer are advised, as "
            "it learns from runs that have ended"
        )
