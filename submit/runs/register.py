"""The best checkpoint of a run as a registered model, with its metrics and its origin."""

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from submit.errors import SubmitError
from submit.interface import Run
from submit.runs.model_labels import FittedLabels, data_text, fitted_labels
from submit.runs.retry import service_errors
from submit.runs.run_folders import BEST, LAST, folders_with_checkpoints
from submit.runs.run_info import ENDED, RunInfo

_BEST_METRICS = "checkpoints/best.json"  # in a run folder, written with the best checkpoint
_LONGEST = 2**20  # bytes of that file
_BESIDE = re.compile(r"(.+/)?checkpoints/[^/]+\.ckpt\.json")  # of a checkpoint, see lightning_app
_DESCRIPTION = 5000


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a model.

    ``checkpoint`` is the file that is registered, or from which it was exported; ``left_out`` are the metrics for which
    no tag was left, and ``shortened`` the tags and properties whose values were too long.
    """

    name: str
    version: int
    checkpoint: str
    tags: Mapping[str, str]
    left_out: tuple[str, ...]
    properties: Mapping[str, str]
    shortened: tuple[str, ...]


def registered(name: str, version: int, checkpoint: str, fitted: FittedLabels) -> RegisteredModel:
    labels = fitted.labels
    return RegisteredModel(name, version, checkpoint, labels.tags, fitted.left_out, labels.properties, fitted.shortened)


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
        SubmitError: The run hasn't ended, has no checkpoint, or has several run folders with some.
        ServiceError: Azure ML doesn't respond or refuses.
    """
    with service_errors(f"run {run.id}"):
        info = run.info()
    if info.status not in ENDED:
        raise SubmitError(f"run {run.id} is {info.status}; its metrics are final only when it has ended")
    names = _names(run)
    folder = _folder(run.id, names)
    best = f"{folder}/{BEST}"
    checkpoint = best if best in names else f"{folder}/{LAST}"
    metrics = _metrics_of_best(run, info, folder, names) if checkpoint == best else info.metrics
    origin: dict[str, str | None] = {
        "run_id": info.run_id,
        "experiment": info.experiment,
        "checkpoint": checkpoint,
    }
    with service_errors(f"run {run.id}"):
        origin["git_commit"] = run.commit()
        details = {"data": data_text(run.data()), "checkpoint_sha256": checkpoint_hashes(run, names).get(checkpoint)}
    fitted = fitted_labels(origin, details, metrics)
    with service_errors(f"model {name}"):
        version = run.register_model(name, checkpoint, fitted.labels, description)
    return registered(name, version, checkpoint, fitted)


def _names(run: Run) -> Sequence[str]:
    with service_errors(f"the files of {run.id}"):
        return run.paths()


def _folder(run_id: str, names: Sequence[str]) -> str:
    """The run folder whose checkpoint is registered."""
    folders = [
        folder for folder in folders_with_checkpoints(names) if {f"{folder}/{BEST}", f"{folder}/{LAST}"} & set(names)
    ]
    if not folders:
        raise SubmitError(
            f"run {run_id} has no checkpoint; expected outputs/{BEST} or outputs/{LAST} among its files, or the same "
            "in another folder"
        )
    if len(folders) > 1:
        raise SubmitError(
            f"run {run_id} has the checkpoints of several trainings, in {', '.join(folders)}; download them, export "
            "one, and register that with --export DIR"
        )
    return folders[0]


def _metrics_of_best(run: Run, info: RunInfo, folder: str, names: Sequence[str]) -> dict[str, float]:
    """The metrics of the epoch of the best checkpoint, and those of the test, which tested that checkpoint.

    The last values of a run are those of its last epoch. Without the file beside the checkpoint, only metrics that have
    a single value are known to be the checkpoint's.
    """
    tested = {name: value for name, value in info.metrics.items() if name.startswith("test")}
    if (path := f"{folder}/{_BEST_METRICS}") in names:
        with service_errors(f"{path} of {run.id}"):
            content = run.file(path).read(0, _LONGEST)
        return _parsed(path, content) | tested
    with service_errors(f"run {run.id}"):
        return {**run.metrics_of_one_value()} | tested


def _parsed(path: str, content: bytes) -> dict[str, float]:
    try:
        metrics = json.loads(content)["metrics"]
        return {str(name): float(value) for name, value in metrics.items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SubmitError(f"{path}: not what a training writes beside its best checkpoint") from error


def checkpoint_hashes(run: Run, names: Sequence[str]) -> dict[str, str]:
    """The SHA-256 of the checkpoints among a run's files, as the small file beside each says it."""
    found = {}
    for path in names:
        if _BESIDE.fullmatch(path):
            with service_errors(f"{path} of {run.id}"):
                content = run.file(path).read(0, _LONGEST)
            with contextlib.suppress(ValueError, TypeError, KeyError):  # damaged, or of another program
                found[path.removesuffix(".json")] = str(json.loads(content)["sha256"])
    return found
