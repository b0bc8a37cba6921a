"""``metrics.jsonl``: what a run measured, one JSON object a logged step, appended before anybody else hears of it."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning_app import json_lines
from lightning_app.values import encoded


class Journal:
    """Appends rows such as ``{"step": 2000, "epoch": 0, "metrics": {"train_loss": 2.19}}``.

    Steps grow strictly for each metric name: a resumed run that repeats steps doesn't write them twice. A row is
    written whole or not at all, and is in the file when ``append`` returns, whatever becomes of the process. Numbers
    that JSON has no word for are the strings "NaN", "Infinity" and "-Infinity".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = json_lines.JsonLines(path)
        self._first_steps: dict[str, int] = {}
        self._last_steps: dict[str, int] = {}
        json_lines.cut_torn_line(path)
        if path.exists():
            for row in read_journal(path):
                self._first_steps = dict.fromkeys(row["metrics"], row["step"]) | self._first_steps
                self._last_steps.update(dict.fromkeys(row["metrics"], row["step"]))

    def begins_again(self, step: int, names: Iterable[str]) -> bool:
        """Whether this row is of a training that starts anew, and doesn't go on with what the file held at first."""
        return any(step <= self._first_steps.get(name, -1) for name in names)

    def append(self, step: int, epoch: int | None, metrics: Mapping[str, float]) -> bool:
        """Writes what is new at this step; returns whether anything was left out as written before."""
        new = {name: encoded(value) for name, value in metrics.items() if step > self._last_steps.get(name, -1)}
        if not new:
            return bool(metrics)
        row = {"step": step} | ({} if epoch is None else {"epoch": epoch}) | {"metrics": new}
        self._lines.append(row)
        self._last_steps.update(dict.fromkeys(new, step))
        return len(new) < len(metrics)

    def next_step(self, names: Iterable[str]) -> int:
        """The first step at which all these metrics are new, for callers who count no steps."""
        return 1 + max((self._last_steps.get(name, -1) for name in names), default=-1)


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal in the order in which they were written."""
    return json_lines.read(path)
