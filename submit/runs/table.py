"""Tables and JSON for the output of commands."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any


def format_table(rows: Iterable[Sequence[object]], headings: Sequence[str] = ()) -> str:
    """Columns as wide as their widest cell."""
    texts = [[_cell(value) for value in row] for row in ([headings] if headings else []) + list(rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts]
    return "\n".join(line.rstrip() for line in lines)


def to_json(content: Any) -> str:
    return json.dumps(content, indent=2, default=_plain)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)


def _plain(value: object) -> str | int:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    raise TypeError(f"{type(value).__name__} can't be written as JSON")
