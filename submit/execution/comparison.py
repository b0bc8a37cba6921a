"""Compares a rehearsal with evictions to one that nothing has disturbed: the weights, and the rows at the service."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from submit.runs.run_folders import LAST, folders_with_checkpoints

if TYPE_CHECKING:
    from submit.emulator import Run

_PROGRAM = ("-m", "lightning_app.compare_weights")
_MOST = 3  # names in a line


def differences(undisturbed: "Run", evicted: "Run", folder: Path) -> list[str]:
    """What differs, a line each; ``folder`` has the training program."""
    return [*_weights(undisturbed, evicted, folder), *_rows(undisturbed, evicted)]


def row_count(run: "Run") -> int:
    return sum(len(rows) for rows in run.metrics.values())


def last_checkpoint(run: "Run") -> str:
    """Its path among the files of a run; empty if there isn't exactly one training with one."""
    paths = [f"{folder}/{LAST}" for folder in folders_with_checkpoints(list(run.artifacts))]
    return paths[0] if len(paths) == 1 and paths[0] in run.artifacts else ""


def _weights(undisturbed: "Run", evicted: "Run", folder: Path) -> Iterator[str]:
    names = [last_checkpoint(run) for run in (undisturbed, evicted)]
    if "" in names:
        yield f"the weights can't be compared: not both runs have one run folder with {LAST}"
        return
    contents = [run.artifacts[name] for run, name in zip((undisturbed, evicted), names, strict=True)]
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch) / f"{number}.ckpt" for number in range(2)]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        done = subprocess.run(
            [sys.executable, *_PROGRAM, *map(str, files)], cwd=folder.resolve(), capture_output=True, text=True
        )
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        yield f"the weights can't be compared: {''.join(last).removeprefix('error: ')}"
        return
    found = json.loads(done.stdout.splitlines()[-1])
    if found:
        yield f"{len(found)} of the weights differ: {_listed(found)}"


def _rows(undisturbed: "Run", evicted: "Run") -> Iterator[str]:
    expected, found = _values(undisturbed), _values(evicted)
    names = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    repeated = [name for name in names if set(expected.get(name, ())) == set(found.get(name, ()))]
    if repeated:
        yield f"metrics with rows that are there more than once: {_listed(repeated)}"
    others = [name for name in names if name not in repeated]
    if others:
        yield f"metrics whose rows differ: {_listed(others)}"


def _values(run: "Run") -> dict[str, list[tuple[str, str]]]:
    """The rows of each metric, sorted: the step and the values."""
    return {
        name: sorted((f"{row.step}", json.dumps(row.data, sort_keys=True).replace(run.id, "RUN")) for row in rows)
        for name, rows in run.metrics.items()
    }


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
