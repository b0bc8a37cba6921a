"""Where training stops or saves after a signal: all processes do it at the same boundary between two steps."""

import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum, auto
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


class Due(Enum):
    """What is to be done at a boundary."""

    NOTHING = auto()
    SAVE = auto()
    STOP = auto()


@dataclass
class _Save:
    """A checkpoint after which training goes on; ``last`` is known when all processes have said where they are."""

    number: int
    reason: str
    last: Boundary | None = None


class StopPoint:
    """Agrees with the other processes on a boundary: each says which one it has passed, and the next one is it.

    Training asks ``due`` at each boundary, which takes less than a microsecond until there is a request. The other
    methods, except ``enter`` and ``leave``, are called in other threads.
    """

    def __init__(self) -> None:
        self.cause: StopCause | None = None
        self.is_reached = False
        self.save_reason = ""  # of the last save that was due
        self.saved_at = 0.0  # time of the monotonic clock when it was done
        self.describe: Callable[[StopCause], str] = _before_training
        self._changed = threading.Condition()
        self._passed: Boundary | None = None  # None outside of the training loop, where nothing has to be saved
        self._last: Boundary | None = None
        self._saves: list[_Save] = []
        self._is_over = False

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
                self._passed, self._is_over = (), False
                return
            self.is_reached = True
        raise Stopped(self.cause, self.line())

    def leave(self) -> StopCause | None:
        """The training loop ends; returns a cause to stop that came after the last boundary."""
        with self._changed:
            self._passed, self._is_over, self._saves = None, True, []
            return None if self.is_reached else self.cause

    def due(self, boundary: Boundary, *, can_save: bool = True) -> Due:
        """What is due at this boundary; waits while the processes agree on one.

        Args:
            boundary: Greater than those before.
            can_save: Whether a checkpoint could be written here; the same in all processes.
        """
        with self._changed:
            if self.cause is not None or self._saves:
                self._changed.wait_for(self._is_agreed, _SECONDS_TO_AGREE)
            if self._last is not None and boundary > self._last:
                self.is_reached = True
                return Due.STOP
            self._passed = boundary
            due = [save for save in self._saves if can_save and save.last is not None and boundary > save.last]
            if not due:
                return Due.NOTHING
            self.save_reason = due[-1].reason
            self._saves = [save for save in self._saves if save not in due]
            return Due.SAVE

    def _is_agreed(self) -> bool:
        if self.cause is not None:
            return self._last is not None
        return all(save.last is not None for save in self._saves)

    def hold(self, cause: StopCause) -> Boundary | None:
        """From here on no boundary is passed; returns the last one that was, None outside of the training loop."""
        with self._changed:
            self.cause = self.cause or cause
            # the others know the same saves as agreed: messages come to all in one order
            self._saves = [save for save in self._saves if save.last is not None]
            return self._passed

    def stop_after(self, last: Boundary) -> None:
        """The last boundary that any process has passed."""
        with self._changed:
            self._last = self._last if self._last is not None else tuple(last)
            self._changed.notify_all()

    def hold_to_save(self, reason: str, number: int = 0) -> Boundary | None:
        """As ``hold``, for a checkpoint after which training goes on; None if training ends or is over.

        A request before training waits for its first step.

        Args:
            reason: Such as "because of SIGUSR1".
            number: Of the request, the same in all processes.
        """
        with self._changed:
            if self.cause is not None or self._is_over:
                return None
            self._saves.append(_Save(number, reason))
            return () if self._passed is None else self._passed

    def save_after(self, last: Boundary | None, number: int = 0) -> None:
        """The last boundary that any process has passed; None withdraws the request."""
        with self._changed:
            for save in [save for save in self._saves if save.number == number and save.last is None]:
                if last is None:
                    self._saves.remove(save)
                else:
                    save.last = tuple(last)
            self._changed.notify_all()


def _before_training(cause: StopCause) -> str:
    return f"Stopped {cause.text} before the work began; the same command begins it again."
