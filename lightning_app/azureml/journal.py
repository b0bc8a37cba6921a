"""``metrics.jsonl``, the journal: one JSON object per logged row, appended before anything is sent anywhere."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning_app.azureml.plain_values import to_json_number


class Journal:
    """Appends rows such as ``{"step": 2000, "epoch": 0, "metrics": {"train_loss": 2.19}}``.

    The steps of each metric increase strictly: a resumed run that repeats steps doesn't write them twice. A row is
    written whole or not at all, and it is in the file when ``append`` returns, even if the process dies then. Numbers
    that JSON can't hold are the strings "NaN", "Infinity" and "-Infinity".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = JsonLines(path)
        self._first_steps: dict[str, int] = {}
        self._last_steps: dict[str, int] = {}
        truncate_torn_line(path)
        if path.exists():
            for row in read_journal(path):
                self._first_steps = dict.fromkeys(row["metrics"], row["step"]) | self._first_steps
                self._last_steps.update(dict.fromkeys(row["metrics"], row["step"]))

    def starts_over(self, step: int, names: Iterable[str]) -> bool:
        """Whether a row belongs to a new training, and not to the one that the file had at first."""
        return any(step <= self._first_steps.get(name, -1) for name in names)

    def append(self, step: int, epoch: int | None, metrics: Mapping[str, float]) -> bool:
        """Writes the metrics that are new at this step; returns whether others were left out as already written."""
        new = {name: to_json_number(value) for name, value in metrics.items() if step > self._last_steps.get(name, -1)}
        if not new:
            return bool(metrics)
        row = {"step": step} | ({} if epoch is None else {"epoch": epoch}) | {"metrics": new}
        self._lines.append(row)
        self._last_steps.update(dict.fromkeys(new, step))
        return len(new) < len(metrics)

    def next_step(self, names: Iterable[str]) -> int:
        """The first step at which all these metrics are new, for callers that don't count steps."""
        return 1 + max((self._last_steps.get(name, -1) for name in names), default=-1)


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal in the order in which they were written."""
    return read_json_lines(path)


class JsonLines:
    """Appends to a file, which stays open: opening it for each line would cost more than writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def append(self, content: Any) -> None:
        """Appends one line, which is in the file when this returns, even if the process dies then.

        Raises:
            OSError: The line could not be written; the file is unchanged.
            ValueError: The content has a number that JSON can't hold.
        """
        _append_whole(self._opened(), (json.dumps(content, allow_nan=False) + "\n").encode())

    def _opened(self) -> int:
        if self._file is not None and os.fstat(self._file).st_nlink == 0:  # it was deleted
            self._close()
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    __del__ = _close


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in the order in which they were written; an incomplete last line is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def truncate_torn_line(path: Path) -> None:
    """Removes an incomplete last line, which a machine that failed while writing leaves; call it before appending."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _append_whole(file: int, line: bytes) -> None:
    written = 0
    try:
        while written < len(line):
            written += os.write(file, line[written:])
    except OSError:
        if written:
            os.ftruncate(file, os.fstat(file).st_size - written)
        raise
