"""The best checkpoint of a run as a registered model, with its metrics and its origin."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from submit.errors import SubmitError
from submit.interface import Run
from submit.runs.retry import service_errors
from submit.runs.run_info import ENDED, RunInfo

BEST, LAST = "outputs/checkpoints/best.ckpt", "outputs/checkpoints/last.ckpt"
CHECKPOINTS = (BEST, LAST)
_BEST_METRICS = "outputs/checkpoints/best.json"  # written with the best checkpoint
_LONGEST = 2**20  # bytes of that file
# https://learn.microsoft.com/azure/machine-learning/resource-limits-capacity
_TAGS = 50
_TAG_NAME = 100
_TAG_VALUE = 1000
_DESCRIPTION = 5000
_FIRST = ("test", "val")  # these metrics come first if there are too many for the tags


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a model; ``left_out`` are the metrics for which no tag was left."""

    name: str
    version: int
    checkpoint: str
    tags: Mapping[str, str]
    left_out: tuple[str, ...]


def require_name(name: str, description: str | None) -> None:
    """Raises SubmitError for a name or a description that Azure ML doesn't accept."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,254}", name, re.ASCII):
        raise SubmitError(
            f"--name {name!r}: expected letters, digits, '-', '.' and '_', the first one a letter or digit, 255 at most"
        )
    if len(description or "") > _DESCRIPTION:
        raise SubmitError(f"--description: has {len(description or '')} characters; {_DESCRIPTION} are allowed")


def register(run: Run, name: str, description: str | None) -> RegisteredModel:
    """Registers a new version of a model.

    Raises:
        SubmitError: The run hasn't ended or has no checkpoint.
        ServiceError: Azure ML doesn't respond or refuses.
    """
    with service_errors(f"run {run.id}"):
        info = run.info()
    if info.status not in ENDED:
        raise SubmitError(f"run {run.id} is {info.status}; its metrics are final only when it has ended")
    names = _names(run)
    checkpoint = _checkpoint(run.id, names)
    metrics = _metrics_of_best(run, info, names) if checkpoint == BEST else info.metrics
    tags, left_out = model_tags(replace(info, metrics=metrics), _commit(run), checkpoint)
    with service_errors(f"model {name}"):
        version = run.register_model(name, checkpoint, tags, description)
    return RegisteredModel(name, version, checkpoint, tags, left_out)


def model_tags(info: RunInfo, commit: str | None, checkpoint: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Tags for the origin and the metrics, and the metrics that are left out."""
    origin = {"run_id": info.run_id, "experiment": info.experiment, "checkpoint": checkpoint}
    origin |= {"git_commit": commit} if commit else {}
    names = sorted(info.metrics, key=lambda name: (not name.startswith(_FIRST), name))
    fitting = [name for name in names if len(name) <= _TAG_NAME and name not in origin]
    taken = fitting[: _TAGS - len(origin)]
    tags = origin | {name: f"{info.metrics[name]:.6g}" for name in taken}
    short = {name: value[:_TAG_VALUE] for name, value in tags.items()}
    return short, tuple(name for name in names if name not in taken)


def _names(run: Run) -> Sequence[str]:
    with service_errors(f"the files of {run.id}"):
        return run.paths()


def _checkpoint(run_id: str, names: Sequence[str]) -> str:
    found = next((path for path in CHECKPOINTS if path in names), None)
    if found is None:
        raise SubmitError(f"run {run_id} has no checkpoint; expected {' or '.join(CHECKPOINTS)} among its files")
    return found


def _metrics_of_best(run: Run, info: RunInfo, names: Sequence[str]) -> dict[str, float]:
    """The metrics of the epoch of the best checkpoint, and those of the test, which tested that checkpoint.

    The last values of a run are those of its last epoch. Without the file beside the checkpoint, only metrics that have
    a single value are known to be the checkpoint's.
    """
    tested = {name: value for name, value in info.metrics.items() if name.startswith("test")}
    if _BEST_METRICS in names:
        with service_errors(f"{_BEST_METRICS} of {run.id}"):
            content = run.file(_BEST_METRICS).read(0, _LONGEST)
        return _parsed(content) | tested
    with service_errors(f"run {run.id}"):
        return {**run.metrics_of_one_value()} | tested


def _parsed(content: bytes) -> dict[str, float]:
    try:
        metrics = json.loads(content)["metrics"]
        return {str(name): float(value) for name, value in metrics.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SubmitError(f"{_BEST_METRICS}: not what a training writes beside its best checkpoint") from error


def _commit(run: Run) -> str | None:
    with service_errors(f"run {run.id}"):
        return run.commit()
