"""``--checkpoint_every``: how often ``last.ckpt`` is saved within an epoch, and the steps at which that is checked."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

DEFAULT_INTERVAL = "5m"
_EXPECTED = "a number of steps such as 500, or a time such as 30s, 5m or 1h"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_SECONDS = 1e9  # 32 years
_TRIED_AGAIN = 10  # parts of the interval, where a save has to wait for the one before


@dataclass(frozen=True)
class SaveInterval:
    """Either optimizer steps or seconds."""

    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str | int) -> "SaveInterval":
        """From ``500``, ``30s``, ``5m`` or ``1h``; a ValueError says what is expected."""
        found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([smh]?)", str(text).strip())
        number, unit = found.groups() if found else ("0", "s")
        if unit and 1 <= float(number) * _UNITS[unit] <= _MOST_SECONDS:
            return cls(seconds=float(number) * _UNITS[unit])
        if not unit and number.isdecimal() and int(number) > 0:
            return cls(steps=int(number))
        raise ValueError(_EXPECTED)


class SaveSchedule:
    """The steps at which rank 0 looks whether a save is due, which all processes know in advance.

    A time is due at another step in each process, and all of them have to save at the same one. So they don't look at
    their clocks: rank 0 does at the steps that it has announced, measures how long a step takes, and announces the next
    one, halfway to where the save will be due: about forty times in an interval of a million steps.

    Args:
        interval: Between two saves.
        clock: Seconds that only increase.
    """

    def __init__(self, interval: SaveInterval, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._clock = interval, clock
        self._saved_step, self._saved_at = 0, 0.0
        self._checked_step, self._checked_at = 0, 0.0

    def begin(self, step: int) -> int:
        """Training begins after a number of steps; returns the step of the first check."""
        self.saved(step)
        self._checked_step, self._checked_at = step, self._clock()
        return step + (self._interval.steps or 1)

    def saved(self, step: int) -> None:
        """The state after this step has been saved, for whatever reason."""
        self._saved_step, self._saved_at = step, self._clock()

    def check(self, step: int, *, is_writing: bool) -> tuple[bool, int]:
        """Whether to save at this step, and the step of the next check; only rank 0 decides.

        While an earlier save is still being written, this one waits: it is tried again after a tenth of the interval,
        with the state of that later step, so that no state waits in memory for the disk.
        """
        ahead, again = self._steps_ahead(step)
        if ahead:
            return False, step + ahead
        if is_writing:
            return False, step + again
        self.saved(step)
        return True, step + (self._interval.steps or 1)

    def _steps_ahead(self, step: int) -> tuple[int, int]:
        """How many steps after this one the next check is: until a save is due, 0 if one is; and where it waits."""
        if self._interval.steps:
            return max(0, self._saved_step + self._interval.steps - step), max(1, self._interval.steps // _TRIED_AGAIN)
        now = self._clock()
        measured = max(1, step - self._checked_step)
        rate = measured / max(now - self._checked_at, 1e-9)
        self._checked_step, self._checked_at = step, now
        left = self._saved_at + self._interval.seconds - now
        most = 2 * measured  # steps may become slower
        ahead = max(1, min(most, int(left * rate / 2))) if left > 0 else 0
        return ahead, max(1, min(most, int(self._interval.seconds * rate / _TRIED_AGAIN)))
