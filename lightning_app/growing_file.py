"""Follows something that grows line by line: a file that is being written, or a log at a service."""

from collections.abc import Callable
from pathlib import Path

Read = Callable[[int, int], bytes]
"""From an offset and a length to the bytes there; fewer, or none, at the end."""


class GrowingLines:
    """Returns each complete line once.

    The offset moves past complete lines only. So a read that fails changes nothing, and a last line that was cut off
    and written again is read as it is now.

    Args:
        read: Reads bytes at an offset.
        piece: How many bytes are read at a time; a longer line is read in a larger piece.
    """

    def __init__(self, read: Read, piece: int = 2**20) -> None:
        self._read = read
        self._piece = piece
        self._offset = 0

    def next(self) -> list[bytes]:
        """The complete lines that come next, without their newlines; empty where there is none yet."""
        length = self._piece
        content = self._read(self._offset, length)
        while b"\n" not in content and len(content) == length:
            length *= 2
            content = self._read(self._offset, length)
        complete = content[: content.rfind(b"\n") + 1]
        self._offset += len(complete)
        return complete.split(b"\n")[:-1]

    def rest(self) -> bytes:
        """What follows the last line that was returned, to the end."""
        content = b""
        while piece := self._read(self._offset + len(content), self._piece):
            content += piece
        return content


def read_file(path: Path) -> Read:
    """Reads a local file, which needn't exist yet."""

    def read(offset: int, length: int) -> bytes:
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except FileNotFoundError:
            return b""

    return read
