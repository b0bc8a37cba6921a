"""Rows that a continued run logs again: it has written them before, after its checkpoint was saved."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

_Key = tuple[int, int | None, frozenset[str]]


class Repetitions:
    """The rows that the journal has after the checkpoint, of which each can be logged once more.

    A row is a repetition if step, epoch and the names of its metrics are those of such a row. When training has gone
    beyond all of them, nothing is a repetition any more.

    Args:
        rows: Each with the number of its line, counted from 0.
    """

    def __init__(self, rows: Iterable[tuple[int, Mapping[str, Any]]] = ()) -> None:
        self._expected: dict[_Key, deque[int]] = {}
        for line, row in rows:
            key = _key(row["step"], row.get("epoch"), row["metrics"])
            self._expected.setdefault(key, deque()).append(line)
        self._last_step = max((step for step, _, _ in self._expected), default=0)

    @property
    def next_line(self) -> int | None:
        """The first line that hasn't come again yet: a checkpoint that is saved now is as far as that."""
        return min((lines[0] for lines in self._expected.values()), default=None)

    def take(self, step: int, epoch: int | None, names: Iterable[str]) -> bool:
        """Whether this row is a repetition, which it is once for each row of the journal."""
        if not self._expected:
            return False
        key = _key(step, epoch, names)
        if lines := self._expected.get(key):
            lines.popleft()
            if not lines:
                del self._expected[key]
            return True
        if step > self._last_step:
            self._expected.clear()
        return False


def _key(step: int, epoch: int | None, names: Iterable[str]) -> _Key:
    return step, epoch, frozenset(names)
