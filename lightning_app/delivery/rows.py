"""The journal as it grows, cut into requests."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_app.delivery import limits
from lightning_app.delivery.names import Names
from lightning_app.delivery.values import MetricValue, scalar


class JournalTail:
    """Hands out the rows of a journal, each once, as they are written.

    ``next_row`` is the number of the next one, counted from 0.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.next_row = 0

    def read(self, at_most: int) -> list[dict[str, Any]]:
        """The next rows; none where there are none yet."""
        lines: list[bytes] = []
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                # a line without its end is still being written
                lines = [line for _, line in zip(range(at_most), file, strict=False) if line.endswith(b"\n")]
        self._offset += sum(map(len, lines))
        self.next_row += len(lines)
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Batch:
    """Values that go in one request, and the number of the row after the last that they come from."""

    values: list[MetricValue]
    end: int


def batches(rows: Sequence[Mapping[str, Any]], first: int, names: Names) -> Iterator[Batch]:
    """Cuts rows, the first of which has the number ``first``, into requests of a size that the service takes.

    Left out are names without a place at the service, and numbers that JSON has no word for.
    """
    values: list[MetricValue] = []
    for number, row in enumerate(rows, first):
        of_row = list(_values(row, names))
        if len(values) + len(of_row) > limits.ROWS:
            yield Batch(values, number)
            values = []
        values = values + of_row
    if rows:
        yield Batch(values, first + len(rows))


def count_nonfinite(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How many values of each name are NaN or infinite: the journal holds these as words."""
    return Counter(name for row in rows for name, value in row["metrics"].items() if isinstance(value, str))


def _values(row: Mapping[str, Any], names: Names) -> Iterator[MetricValue]:
    for name, value in row["metrics"].items():
        spelling = names.spelling(name)
        if spelling is not None and not isinstance(value, str):
            yield scalar(name, spelling, row["step"], value)
