"""Files of one JSON object a line, which only grow: a line is there whole or not at all."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class JsonLines:
    """Appends to a file, which stays open: opening it for each line would cost more than writing the line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def append(self, content: Any) -> None:
        """Adds one line; it is in the file when this returns, whatever becomes of the process.

        Raises:
            OSError: It could not be written; the file is as it was.
            ValueError: The content holds a number that JSON has no word for.
        """
        _append_whole(self._opened(), (json.dumps(content, allow_nan=False) + "\n").encode())

    def _opened(self) -> int:
        if self._file is not None and os.fstat(self._file).st_nlink == 0:  # somebody has removed it
            self._close()
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    __del__ = _close


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in the order in which they were written; a last line without its end isn't one yet."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def cut_torn_line(path: Path) -> None:
    """A machine that stopped in mid-write may have left part of a line at the end; for who is about to append."""
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
