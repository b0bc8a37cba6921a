"""Files of one JSON object per line, to which lines are only appended: the journal and the delivery log."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class JsonLines:
    """Appends to a file, which stays open: opening it for each line would cost more than writing.

    It stays the same file when the program changes its working directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._name = str(self.path)
        self._file: int | None = None
        self._place = (0, 0)  # of the open file: device and inode

    def append(self, content: Any) -> None:
        """Appends one line, which is in the file when this returns, even if the process dies then.

        Raises:
            OSError: The line could not be written; the file is unchanged.
            ValueError: The content has a number that JSON can't hold.
        """
        line = (json.dumps(content, allow_nan=False) + "\n").encode()
        file = self.open()
        _lock(file)
        try:
            _append_whole(file, line)
        finally:
            _unlock(file)

    def was_replaced(self) -> bool:
        """Whether the file that is open isn't at its path any more: it was moved or deleted."""
        if self._file is None:
            return False
        try:
            found = os.stat(self._name)  # noqa: PTH116 a microsecond for each row
        except FileNotFoundError:
            return True
        return (found.st_dev, found.st_ino) != self._place

    def open(self) -> int:
        """The descriptor of the file, which is created if there is none.

        Raises:
            OSError: It can't be opened for writing.
        """
        if self.was_replaced():
            self.close()
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            opened = os.fstat(self._file)
            self._place = opened.st_dev, opened.st_ino
        return self._file

    def close(self) -> None:
        """Closes the file; the next line opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    __del__ = close


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects in the order in which they were written; what is no object, or has no end, is left out."""
    with path.open("rb") as file:
        for line in file:
            content = parse_line(line)
            if content is not None:
                yield content


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The object of a complete line; None for anything else. NaN and infinities become strings."""
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def complete_last_line(path: Path) -> None:
    """Call it before appending: what a machine that failed while writing left is removed, any other text is kept.

    A line that only lacks its end, as some editors leave it, gets one.
    """
    if not path.exists():
        return
    with path.open("r+b") as file:
        _lock(file.fileno())  # until it is closed
        content = file.read()
        whole = content.rfind(b"\n") + 1
        rest = content[whole:]
        if not rest:
            return
        if parse_line(rest + b"\n") is None and rest.strip(b"\0")[:1] in (b"", b"{"):
            file.truncate(whole)
        else:
            file.write(b"\n")


def _lock(file: int) -> None:
    """Keeps other processes from writing meanwhile, where the system and the file system can do that."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)


def _unlock(file: int) -> None:
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


def _append_whole(file: int, line: bytes) -> None:
    written = 0
    try:
        while written < len(line):
            written += os.write(file, line[written:])
    except OSError:
        if written:
            os.ftruncate(file, os.fstat(file).st_size - written)
        raise
