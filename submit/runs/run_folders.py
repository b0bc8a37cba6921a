"""The run folders among the files of a run: where its training wrote, whatever its ``--output_dir`` was.

Azure ML gives another attempt of the same job a folder of its own, such as ``outputs/retry_001``. The training copies
there what it continues from, so the last attempt has the best checkpoint and the rows of the earlier ones as well.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from lightning_app.export.files import DESCRIPTION

BEST, LAST = "checkpoints/best.ckpt", "checkpoints/last.ckpt"
"""In a run folder: the checkpoint that is registered, and the one from which a training continues."""
_REPORTED = (  # what python -m lightning_app report reads, see lightning_app.run_folder
    *("config.yaml", "hparams.yaml", "metrics.jsonl", "history.jsonl", "val_metrics.json", "test_metrics.json"),
    *("checkpoints/best.json", "charts/"),
)
_ONLY_THERE = ("metrics.jsonl", "history.jsonl")  # names that other folders hardly have
_USUAL = "outputs"
_CHECKPOINTS, _EXPORT = "checkpoints", "export"
_ATTEMPT = re.compile(r"retry_(\d{3})")
EARLIER_RUNS = "previous"
"""In a run folder: earlier runs, which had the folder before."""


def run_folders(names: Sequence[str]) -> list[str]:
    """The run folders, each of the last attempt that has left one.

    Args:
        names: The names of all files of a run.
    """
    found = {str(PurePosixPath(name).parent) for name in names if PurePosixPath(name).name in _ONLY_THERE}
    if not found and files_of_report(names, _USUAL):
        found = {_USUAL}
    return _of_last_attempts(found)


def folders_with_checkpoints(names: Sequence[str]) -> list[str]:
    """The run folders that have a checkpoint, each of the last attempt that has left one."""
    paths = [PurePosixPath(name) for name in names]
    found = [path.parents[1] for path in paths if path.parent.name == _CHECKPOINTS and path.suffix == ".ckpt"]
    return _of_last_attempts({str(folder) for folder in found})


def exported_models(names: Sequence[str]) -> list[str]:
    """The folders ``export`` of run folders that have an exported model, each of the last attempt that has left one."""
    paths = [PurePosixPath(name) for name in names]
    found = [path.parents[1] for path in paths if path.parts[-2:] == (_EXPORT, DESCRIPTION)]
    return [f"{folder}/{_EXPORT}" for folder in _of_last_attempts({str(folder) for folder in found})]


def files_of_report(names: Sequence[str], folder: str) -> list[str]:
    """Of the files of a run those in a run folder that its report shows."""
    return [name for name in names if name.startswith(tuple(f"{folder}/{each}" for each in _REPORTED))]


def files_of_checkpoints(names: Sequence[str], folder: str) -> list[str]:
    """Of the files of a run the checkpoints in a run folder, and the ``config.yaml`` that names their class."""
    return [name for name in names if name.startswith(f"{folder}/{_CHECKPOINTS}/") or name == f"{folder}/config.yaml"]


def _of_last_attempts(folders: Iterable[str]) -> list[str]:
    last: dict[PurePosixPath, tuple[int, str]] = {}
    for folder in folders:
        path = PurePosixPath(folder)
        if EARLIER_RUNS in path.parts or not path.parts:
            continue
        attempts = [int(part[1]) for each in path.parts if (part := _ATTEMPT.fullmatch(each))]
        place = without_attempt(path)
        last[place] = max(last.get(place, (-1, "")), (max(attempts, default=0), folder))
    return sorted(folder for _, folder in last.values())


def without_attempt(folder: PurePosixPath) -> PurePosixPath:
    """The run folder of the first attempt, of that of any attempt."""
    return PurePosixPath(*(part for part in folder.parts if not _ATTEMPT.fullmatch(part)))
