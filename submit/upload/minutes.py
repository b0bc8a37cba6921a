"""A line from time to time where there is no terminal for a bar, so that a log shows a long transfer's progress."""

import sys
import time

_SECONDS = 60.0


class MinuteLines:
    """Prints a line on standard error once a minute; none in a terminal."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds
        self._prints = not sys.stderr.isatty()

    def print(self, line: str) -> None:
        """Prints the line if a minute has passed since the last one."""
        if self._prints and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._seconds
            print(line, file=sys.stderr, flush=True)
