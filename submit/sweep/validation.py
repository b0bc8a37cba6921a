"""What HyperDrive would refuse, or would accept and never finish."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from lightning_app.command_line.flags import flag_names, flag_values, last_value
from submit.preflight.findings import Finding, error, report_findings, warning
from submit.sweep.sweep import MAX_CONCURRENT, Parameter, Sweep, combinations
from submit.training_flags import class_paths

MAX_RUNS = 1000  # azureml-train-core accepts no more, nor more than MAX_CONCURRENT at a time
_BAYESIAN = ("choice", "uniform", "quniform")
_RUNS_A_PARAMETER = 20  # as azureml-train-core recommends for Bayesian sampling
_CONCURRENT = 20


def check_sweep(sweep: Sweep, training: Sequence[str]) -> None:
    """Prints warnings about a sweep.

    Raises:
        PreflightError: The sweep must not be sent; there is a line for each reason.
    """
    report_findings(_sweep_findings(sweep, training))


def _sweep_findings(sweep: Sweep, training: Sequence[str]) -> Iterator[Finding]:
    yield from check_metric(sweep, training)
    yield from _check_counts(sweep)
    yield from _check_names(sweep.parameters, training)
    if sweep.sampling == "grid":
        yield from _check_grid(sweep)
    if sweep.sampling == "bayesian":
        yield from _check_bayesian(sweep)


def _check_counts(sweep: Sweep) -> Iterator[Finding]:
    if sweep.max_concurrent > sweep.max_runs:
        yield error(f"--max_concurrent {sweep.max_concurrent}: more than the {sweep.max_runs} runs of the sweep")
    if sweep.max_concurrent > MAX_CONCURRENT:
        yield error(f"--max_concurrent {sweep.max_concurrent}: HyperDrive accepts {MAX_CONCURRENT} at most")
    if sweep.max_runs > MAX_RUNS:
        yield error(f"{sweep.max_runs} runs: HyperDrive accepts {MAX_RUNS} at most; give fewer values, or --max_runs")


def _check_names(parameters: Sequence[Parameter], training: Sequence[str]) -> Iterator[Finding]:
    flags = [name.removeprefix("--") for name in flag_names(training)]
    for position, parameter in enumerate(parameters):
        if any(_same(parameter.name, flag) for flag in flags):
            yield error(f"--{parameter.name}: --param draws its values; leave it out")
        if any(_same(parameter.name, other.name) or parameter.key == other.key for other in parameters[:position]):
            yield error(f"--param {parameter.name}: given twice")


def _same(name: str, other: str) -> bool:
    """Whether two flags are one setting, such as --learning_rate and --model.learning_rate."""
    return name == other or (("." in name) != ("." in other) and name.rpartition(".")[2] == other.rpartition(".")[2])


def _check_grid(sweep: Sweep) -> Iterator[Finding]:
    continuous = [parameter for parameter in sweep.parameters if parameter.distribution != "choice"]
    for parameter in continuous:
        yield error(
            f"--param {parameter.name}: {parameter.distribution} has no grid; give choice, or --sampling random"
        )
    if not continuous and combinations(sweep.parameters) > sweep.max_runs:
        yield warning(
            f"--max_runs {sweep.max_runs}: the grid has {combinations(sweep.parameters)} combinations, not all "
            "of which are tried"
        )


def _check_bayesian(sweep: Sweep) -> Iterator[Finding]:
    if sweep.stopping:
        yield error(
            f"--policy {sweep.stopping.policy}: HyperDrive has no early stopping with --sampling bayesian; leave it out"
        )
    for parameter in sweep.parameters:
        if parameter.distribution not in _BAYESIAN:
            yield error(
                f"--param {parameter.name}: --sampling bayesian accepts {', '.join(_BAYESIAN)}; found "
                f"{parameter.distribution}"
            )
    recommended = _RUNS_A_PARAMETER * len(sweep.parameters)
    if sweep.max_runs < recommended:
        yield warning(f"--max_runs {sweep.max_runs}: for --sampling bayesian {recommended} or more are recommended")
    if sweep.max_concurrent > _CONCURRENT:
        yield warning(
            f"--max_concurrent {sweep.max_concurrent}: for --sampling bayesian {_CONCURRENT} or fewer are recommended, "
            "because it learns from finished runs"
        )


_MEASURES = {
    "train": ("loss", "accuracy"),
    "val": ("loss", "accuracy", "macro_f1", "balanced_accuracy"),
    "test": ("loss", "accuracy", "macro_f1", "balanced_accuracy", "top5_accuracy", "calibration_error"),
}
LOGGED = tuple(f"{stage}_{what}" for stage, measures in _MEASURES.items() for what in measures)
_MODELS = ("CifarNet", "ResNetTransfer")
_DATA = ("CIFAR10DataModule", "ImageFolderDataModule")
_OWN_PACKAGES = ("models", "datamodules")
_MODEL_FLAGS = ("--model", "--model.class_path")
_CONFIG_FLAGS = ("--config", "-c")
_VAL_SPLIT = "data.val_split"


def check_metric(sweep: Sweep, training: Sequence[str]) -> Iterator[Finding]:
    """Findings about the metric: the model must log it, and early enough."""
    foreign = _foreign_classes(sweep, training)
    if foreign:
        yield warning(
            f"--metric {sweep.metric}: can't be checked for {foreign[0]}; if the model doesn't log it, "
            "HyperDrive waits for ever"
        )
    elif sweep.metric not in LOGGED:
        yield error(_unknown(sweep.metric))
    else:
        yield from _check_known(sweep, training)


def _check_known(sweep: Sweep, training: Sequence[str]) -> Iterator[Finding]:
    stage, _, what = sweep.metric.partition("_")
    if stage == "val" and not _has_val_split(sweep, training):
        yield warning(
            f"--metric {sweep.metric}: is logged only with --data.val_split N or if the data has a folder 'val'"
        )
    if stage == "test" and sweep.stopping:
        yield warning(
            f"--policy {sweep.stopping.policy}: {sweep.metric} is logged only once, at the end, so no run ends early"
        )
    if (what in ("loss", "calibration_error")) != (sweep.goal == "minimize"):
        yield warning(f"--goal {sweep.goal}: is unusual for {sweep.metric}")


def _foreign_classes(sweep: Sweep, training: Sequence[str]) -> list[str]:
    """Import paths of classes that aren't this project's, from flags, parameters and configuration files."""
    folder = sweep.job.source_directory
    flags = (*_MODEL_FLAGS, *_CONFIG_FLAGS)
    paths = [path for flag, value in flag_values(training, *flags) for path in class_paths(folder, [flag, value])]
    paths += [str(value) for item in sweep.parameters if f"--{item.name}" in _MODEL_FLAGS for value in item.arguments]
    return [path for path in paths if path.partition(".")[0] not in (*_OWN_PACKAGES, *_MODELS, *_DATA)]


def _unknown(metric: str) -> str:
    close = get_close_matches(metric, LOGGED, n=1)
    advice = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(LOGGED)}"
    return f"--metric {metric}: the model doesn't log it; {advice}"


def _has_val_split(sweep: Sweep, training: Sequence[str]) -> bool:
    if any(parameter.name == _VAL_SPLIT for parameter in sweep.parameters):
        return True
    return last_value(training, f"--{_VAL_SPLIT}") not in (None, "0")
