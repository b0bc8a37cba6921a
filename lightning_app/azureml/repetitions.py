"""Rows that a continued run logs again: it has written them before, after its checkpoint was saved."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

_Key = tuple[int, int | None, frozenset[str]]


class Repetitions:
    """The rows that the journal has after the checkpoint, of which each can be logged once more.

    A row is a repetition if step, epoch and the names of its metrics are those of such a row. When training has gone
    beyond all of them, nothing is a repetition any more.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._expected = Counter(_key(row["step"], row.get("epoch"), row["metrics"]) for row in rows)
        self._last_step = max((step for step, _, _ in self._expected), default=0)

    def take(self, step: int, epoch: int | None, names: Iterable[str]) -> bool:
        """Whether this row is a repetition, which it is once for each row of the journal."""
        if not self._expected:
            return False
        key = _key(step, epoch, names)
        if self._expected[key] > 0:
            self._expected[key] -= 1
            return True
        if step > self._last_step:
            self._expected.clear()
        return False


def _key(step: int, epoch: int | None, names: Iterable[str]) -> _Key:
    return step, epoch, frozenset(names)
