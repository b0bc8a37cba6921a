"""Whether a training that was disturbed has left what an undisturbed one leaves."""

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_app.azureml.journal_position import POSITIONS
from tests.support.jobs import Job, journal_scalars, logged_rows

# counters of an epoch and of validations, which Lightning writes and nothing reads after a resume of this program
_COUNTS_ONLY = re.compile(r"^\.loops\.\w+_loop\.epoch_loop\.(\w+\.optim_progress\.optimizer\.\w+\.current|val_loop)\.")
_DELIVERED = 60.0  # seconds, ten times what is usual


def differences(job: Job, undisturbed: Job) -> list[str]:
    """What differs: the content of the checkpoints, journal, charts, files, and what the service holds."""
    found, expected = job.folder / "outputs", undisturbed.folder / "outputs"
    problems = []
    if _files(found) != _files(expected):
        problems.append(f"files: {sorted(_files(found) ^ _files(expected))}")
    for name in ("last", "best"):
        contents = [_checkpoint(folder / "checkpoints" / f"{name}.ckpt") for folder in (found, expected)]
        problems += [f"{name}.ckpt: {problem}" for problem in _unequal(*contents) if not _COUNTS_ONLY.search(problem)]
    if _best(found) != _best(expected):
        problems.append(f"best.json: {_best(found)} instead of {_best(expected)}")
    if logged_rows(found) != logged_rows(expected):
        problems.append(f"metrics.jsonl: {_rows_that_differ(logged_rows(found), logged_rows(expected))}")
    charts, wanted_charts = _charts(found), _charts(expected)
    problems += [f"{name}: another chart" for name in wanted_charts if charts.get(name) != wanted_charts[name]]
    if (held := _held(job)) != (wanted := journal_scalars(expected)):
        names = [name for name in {*held, *wanted} if held.get(name) != wanted.get(name)]
        problems.append(f"the service: {[(name, held.get(name), wanted.get(name)) for name in names]}")
    return problems


def steps_saved(job: Job) -> int | None:
    path = job.folder / "outputs" / "checkpoints" / "last.ckpt"
    return int(_checkpoint(path)["global_step"]) if path.exists() else None


def _held(job: Job) -> Mapping[str, list[tuple[int | None, float]]]:
    """By metric name, what the service holds when all of the journal has arrived, in the order of the steps."""
    deadline = time.monotonic() + _DELIVERED
    journal = journal_scalars(job.folder / "outputs")
    while sum(map(len, job.scalars().values())) < sum(map(len, journal.values())) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.2)  # whatever would come twice
    return {name: sorted(values, key=lambda value: value[0] or 0) for name, values in job.scalars().items()}


def _files(folder: Path) -> set[str]:
    """Without the report of the processes that were killed, and without earlier checkpoints: at which steps these were
    saved depends on where the training was stopped."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if path.name != "failures.txt" and not path.match("step-*.ckpt*")}


def _checkpoint(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    if POSITIONS in content:  # journals have random names
        content[POSITIONS] = list(content[POSITIONS].values())
    return content


def _unequal(value: Any, expected: Any, name: str = "") -> list[str]:
    if isinstance(value, Tensor) and isinstance(expected, Tensor):
        return [] if value.dtype == expected.dtype and torch.equal(value, expected) else [f"{name} differs"]
    if isinstance(value, dict) and isinstance(expected, dict) and value.keys() == expected.keys():
        return [each for key in value for each in _unequal(value[key], expected[key], f"{name}.{key}")]
    if isinstance(value, list | tuple) and isinstance(expected, list | tuple) and len(value) == len(expected):
        pairs = enumerate(zip(value, expected, strict=True))
        return [each for number, pair in pairs for each in _unequal(*pair, f"{name}.{number}")]
    return [] if value == expected else [f"{name} is {str(value)[:200]} instead of {str(expected)[:200]}"]


def _best(folder: Path) -> Any:
    return json.loads((folder / "checkpoints" / "best.json").read_text())


def _charts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "charts").iterdir()}


def _rows_that_differ(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> str:
    rows, wanted = (Counter(json.dumps(row) for row in each) for each in (found, expected))
    return f"too many: {list((rows - wanted).elements())[:6]}; missing: {list((wanted - rows).elements())[:6]}"
