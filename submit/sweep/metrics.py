"""The metric by which runs are compared; HyperDrive waits for ever for one that nobody logs."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from submit.preflight.findings import Finding, error, warning
from submit.preflight.training_arguments import class_paths, given
from submit.sweep.description import Sweep

LOGGED = tuple(f"{stage}_{what}" for stage in ("train", "val", "test") for what in ("loss", "accuracy"))
_MODELS = ("CifarNet", "ResNetTransfer")
_DATA = ("CIFAR10DataModule", "ImageFolderDataModule")
_OWN_PACKAGES = ("models", "datamodules")
_MODEL_FLAGS = ("--model", "--model.class_path")
_CONFIG_FLAGS = ("--config", "-c")
_VAL_SPLIT = "data.val_split"


def check_metric(sweep: Sweep, training: Sequence[str]) -> Iterator[Finding]:
    """Whether the model logs it, and in time for what the sweep does with it."""
    foreign = _foreign_models(sweep, training)
    if foreign:
        yield warning(f"--metric {sweep.metric}: can't be checked for {foreign[0]}; HyperDrive waits for it for ever")
    elif sweep.metric not in LOGGED:
        yield error(_unknown(sweep.metric))
    else:
        yield from _check_known(sweep, training)


def _check_known(sweep: Sweep, training: Sequence[str]) -> Iterator[Finding]:
    stage, _, what = sweep.metric.partition("_")
    if stage == "val" and not _has_val_split(sweep, training):
        yield warning(
            f"--metric {sweep.metric}: is logged with --data.val_split N, or where the data set has a folder 'val', "
            "and not else"
        )
    if stage == "test" and sweep.stopping:
        yield warning(f"--policy {sweep.stopping.policy}: {sweep.metric} is logged once, at the end; no run ends early")
    if (what == "loss") != (sweep.goal == "minimize"):
        yield warning(f"--goal {sweep.goal}: is it meant, for {sweep.metric}?")


def _foreign_models(sweep: Sweep, training: Sequence[str]) -> list[str]:
    """Import paths of models that aren't this project's; of a configuration file's classes all that are neither."""
    folder = sweep.job.source_directory
    flags = (*_MODEL_FLAGS, *_CONFIG_FLAGS)
    chosen = [path for flag, value in given(training, flags) for path in class_paths(folder, [flag, value])]
    chosen += [str(value) for item in sweep.parameters if f"--{item.name}" in _MODEL_FLAGS for value in item.arguments]
    return [path for path in chosen if path.partition(".")[0] not in (*_OWN_PACKAGES, *_MODELS, *_DATA)]


def _unknown(metric: str) -> str:
    close = get_close_matches(metric, LOGGED, n=1)
    meant = f"did you mean {close[0]}?" if close else f"expected one of {', '.join(LOGGED)}"
    return f"--metric {metric}: the model doesn't log it; {meant}"


def _has_val_split(sweep: Sweep, training: Sequence[str]) -> bool:
    if any(parameter.name == _VAL_SPLIT for parameter in sweep.parameters):
        return True
    return any(value != "0" for _, value in given(training, (f"--{_VAL_SPLIT}",)))
