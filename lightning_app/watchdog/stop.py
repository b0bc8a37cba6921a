"""Where training stops after a signal: all processes stop at the same boundary between two steps."""

import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lightning_app.watchdog import reports

Boundary = tuple[float, ...]  # ordered in the same way in all processes
_SECONDS_TO_AGREE = 60.0  # never reached: the watchdog ends the process before


@dataclass(frozen=True)
class StopCause:
    """Why training stops.

    Args:
        text: Such as "by SIGTERM", for messages that begin with "Stopped".
        signal: Number of the signal; 0 where there was none.
    """

    text: str
    signal: int = 0

    @property
    def status(self) -> int:
        """Exit status, as a shell shows it."""
        return reports.exit_status(self.kind, self.signal)

    @property
    def kind(self) -> str:
        """Of the report."""
        return reports.INTERRUPTED if self.signal else reports.ABANDONED

    def to_message(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "StopCause":
        return cls(**message)

    @classmethod
    def from_signal(cls, number: int) -> "StopCause":
        return cls(f"by {signal.Signals(number).name}", number)


class Stopped(SystemExit):
    """Raised in the main thread where training stops; ``line`` says what is saved and how to continue."""

    def __init__(self, cause: StopCause, line: str) -> None:
        super().__init__(cause.status)
        self.cause, self.line = cause, line


class StopPoint:
    """Agrees with the other processes on a boundary: each says which one it has passed, and the next one is it.

    Training asks ``reached`` at each boundary, which takes less than a microsecond until there is a cause to stop. The
    other methods, except ``enter`` and ``leave``, are called in other threads.
    """

    def __init__(self) -> None:
        self.cause: StopCause | None = None
        self.is_reached = False
        self.describe: Callable[[StopCause], str] = _before_training
        self._changed = threading.Condition()
        self._passed: Boundary | None = None  # None outside of the training loop, where nothing has to be saved
        self._last: Boundary | None = None

    @property
    def in_training(self) -> bool:
        return self._passed is not None

    def line(self) -> str:
        assert self.cause is not None
        return self.describe(self.cause)

    def enter(self) -> None:
        """The training loop begins."""
        with self._changed:
            if self.cause is None:
                self._passed = ()
                return
        raise Stopped(self.cause, self.line())

    def leave(self) -> StopCause | None:
        """The training loop ends; returns a cause to stop that came after the last boundary."""
        with self._changed:
            self._passed = None
            return None if self.is_reached else self.cause

    def reached(self, boundary: Boundary) -> bool:
        """Whether training stops at this boundary; waits while the processes agree on one."""
        with self._changed:
            if self.cause is not None:
                self._changed.wait_for(lambda: self._last is not None, _SECONDS_TO_AGREE)
                self.is_reached = self._last is not None and boundary > self._last
            if not self.is_reached:
                self._passed = boundary
            return self.is_reached

    def hold(self, cause: StopCause) -> Boundary | None:
        """From here on no boundary is passed; returns the last one that was, None outside of the training loop."""
        with self._changed:
            self.cause = self.cause or cause
            return self._passed

    def stop_after(self, last: Boundary) -> None:
        """The last boundary that any process has passed."""
        with self._changed:
            self._last = self._last if self._last is not None else tuple(last)
            self._changed.notify_all()


def _before_training(cause: StopCause) -> str:
    return f"Stopped {cause.text} before the work began; the same command begins it again."
