"""When rows were logged. MLflow knows a value by its name, its step and its time, so no two have the same."""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any


def time_of(row: Mapping[str, Any]) -> datetime | None:
    """When the row was logged; None for a row of an earlier release, or of another program."""
    try:
        found = datetime.fromisoformat(row["time"])
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


class RowTimes:
    """Gives each row of a journal its time in milliseconds since 1970; the rows must be given in their order.

    A row gets the next free millisecond if an earlier one has one of its names, its step and its millisecond. One
    without a time gets that of the row before. So each reading of a journal gives the same times.
    """

    def __init__(self) -> None:
        self._used: set[tuple[str, int, int]] = set()
        self._latest = 0

    def next(self, row: Mapping[str, Any]) -> int:
        found = time_of(row)
        milliseconds = self._latest if found is None else round(found.timestamp() * 1000)
        if milliseconds > self._latest:
            self._used.clear()
        while any((name, row["step"], milliseconds) in self._used for name in row["metrics"]):
            milliseconds += 1
        self._used.update((name, row["step"], milliseconds) for name in row["metrics"])
        self._latest = max(self._latest, milliseconds)
        return milliseconds
