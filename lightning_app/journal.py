"""``metrics.jsonl``: what a run measured, one JSON object a logged step, appended before anybody else hears of it."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class Journal:
    """Appends rows such as ``{"step": 2000, "epoch": 0, "metrics": {"train_loss": 2.19}}``.

    Steps grow strictly for each metric name: a resumed run that repeats steps doesn't write them twice. A row is
    written whole or not at all, and is in the file when ``append`` returns, whatever becomes of the process. Numbers
    that JSON has no word for are the strings "NaN", "Infinity" and "-Infinity".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last_steps: dict[str, int] = {}
        if path.exists():
            _cut_torn_row(path)
            for row in read_journal(path):
                self._last_steps.update(dict.fromkeys(row["metrics"], row["step"]))

    def append(self, step: int, epoch: int | None, metrics: Mapping[str, float]) -> None:
        """Writes what is new at this step; nothing if all of it was written before."""
        new = {name: _encoded(value) for name, value in metrics.items() if step > self._last_steps.get(name, -1)}
        if not new:
            return
        row = {"step": step} | ({} if epoch is None else {"epoch": epoch}) | {"metrics": new}
        _append_whole(self.path, (json.dumps(row, allow_nan=False) + "\n").encode())
        self._last_steps.update(dict.fromkeys(new, step))


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal in the order in which they were written."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _append_whole(path: Path, line: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        before = os.fstat(file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(file, line[written:])
        except OSError:
            os.ftruncate(file, before)
            raise
    finally:
        os.close(file)


def _cut_torn_row(path: Path) -> None:
    """A machine that stopped in mid-write may have left part of a row at the end."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _encoded(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
