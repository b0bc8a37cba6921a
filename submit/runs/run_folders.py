"""The run folders among the files of a run: where its training wrote, whatever its ``--output_dir`` was."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_REPORTED = (  # what python -m lightning_app report reads, see lightning_app.run_folder
    *("config.yaml", "hparams.yaml", "metrics.jsonl", "history.jsonl", "val_metrics.json", "test_metrics.json"),
    *("checkpoints/best.json", "charts/"),
)
_ONLY_THERE = ("metrics.jsonl", "history.jsonl")  # names that other folders hardly have
_USUAL = "outputs"
_ATTEMPT = re.compile(r"retry_(\d{3})")  # a folder that Azure ML gives to another attempt of the same job
_EARLIER = "previous"  # earlier runs, which had the folder before


def run_folders(names: Sequence[str]) -> list[str]:
    """The run folders, each of the last attempt that has left one: it has the rows of the earlier ones as well.

    Args:
        names: The names of all files of a run.
    """
    found = {str(PurePosixPath(name).parent) for name in names if PurePosixPath(name).name in _ONLY_THERE}
    if not found and files_of_report(names, _USUAL):
        found = {_USUAL}
    last: dict[tuple[str, ...], tuple[int, str]] = {}
    for folder in found:
        parts = PurePosixPath(folder).parts
        if _EARLIER in parts or not parts:
            continue
        attempts = [int(part[1]) for each in parts if (part := _ATTEMPT.fullmatch(each))]
        place = tuple(each for each in parts if not _ATTEMPT.fullmatch(each))
        last[place] = max(last.get(place, (-1, "")), (max(attempts, default=0), folder))
    return sorted(folder for _, folder in last.values())


def files_of_report(names: Sequence[str], folder: str) -> list[str]:
    """Of the files of a run those in a run folder that its report shows."""
    return [name for name in names if name.startswith(tuple(f"{folder}/{each}" for each in _REPORTED))]
