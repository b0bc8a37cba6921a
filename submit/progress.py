"""How far something is: one line that is redrawn in a terminal, and a line now and then elsewhere."""

import shutil
import sys
import time
from typing import TextIO

_IN_TERMINAL = 0.1
_ELSEWHERE = 10.0


class Progress:
    """A context; at its end the line in the terminal is gone, and what comes next has the line for itself."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._redraws = self._stream.isatty()
        self._next = 0.0

    def show(self, text: str) -> None:
        """May be called as often as one likes."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (_IN_TERMINAL if self._redraws else _ELSEWHERE)
        self._write(f"\r{text[: shutil.get_terminal_size().columns - 1]}\x1b[K" if self._redraws else f"{text}\n")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        if self._redraws and self._next:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
