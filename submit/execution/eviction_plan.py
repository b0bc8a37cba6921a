"""The evictions of a rehearsal: when they are announced, and whether they are withdrawn."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightning_app.watchdog.protocol import read_progress

if TYPE_CHECKING:
    from submit.emulator import AzureMLEmulator

Outcome = Literal["kept", "lost", "withdrawn"]
OUTCOMES: tuple[Outcome, ...] = ("kept", "lost", "withdrawn")
_WITHDRAWN_NOTICE = 30.0  # seconds, Azure's shortest
_SECONDS_TO_WITHDRAWAL = 5.0


@dataclass(frozen=True)
class PlannedEviction:
    """An eviction of a rehearsed job.

    Args:
        at: When it is announced.
        is_step: Whether that is an optimizer step of the training; otherwise seconds since the job has started, or
            has started again.
        outcome: The outputs are on the next node, or they aren't, or nothing is taken away.
    """

    at: int
    is_step: bool
    outcome: Outcome

    @property
    def when(self) -> str:
        return f"step {self.at}" if self.is_step else f"{self.at} s"


@dataclass(frozen=True)
class Evictions:
    """What ``rehearse --evict`` asks for.

    Args:
        planned: In their order; each is announced after the one before is over.
        notice: Seconds between an announcement and the time when the node is taken away.
    """

    planned: Sequence[PlannedEviction]
    notice: float


class EvictionPlan:
    """Announces and withdraws evictions of a node at the emulator while a job runs.

    Args:
        evictions: What is planned.
        service: The emulator.
        node: The name of the node that is taken away.
        progress: A folder with the positions of the training's processes.
        show: Called with a line for each announcement and withdrawal.
    """

    def __init__(
        self,
        evictions: Evictions,
        service: "AzureMLEmulator",
        node: str,
        progress: Path,
        show: Callable[[str], None],
    ) -> None:
        self._planned, self._notice = list(evictions.planned), evictions.notice
        self._service, self._node, self._progress, self._show = service, node, progress, show
        self._started_at = time.monotonic()
        self._event: str | None = None
        self._withdrawal_at: float | None = None
        self.announced: list[PlannedEviction] = []

    @property
    def unreached(self) -> Sequence[PlannedEviction]:
        """Those that the job has ended before."""
        return tuple(self._planned)

    def start(self) -> None:
        """The job starts, or starts again."""
        self._started_at, self._event, self._withdrawal_at = time.monotonic(), None, None
        for file in self._progress.iterdir():
            file.unlink()

    def advance(self) -> bool:
        """Called again and again while the job runs; returns false, because the job isn't over."""
        if self._withdrawal_at is not None and time.monotonic() > self._withdrawal_at:
            assert self._event is not None
            self._service.withdraw_eviction(self._event)
            self._show(f"The eviction of {self._node} is withdrawn.")
            self._event = self._withdrawal_at = None
        if self._event is None and self._planned and self._is_due(self._planned[0]):
            self._announce(self._planned.pop(0))
        return False

    def _announce(self, eviction: PlannedEviction) -> None:
        is_withdrawn = eviction.outcome == "withdrawn"
        seconds = _WITHDRAWN_NOTICE if is_withdrawn else self._notice
        self._event = self._service.announce_eviction([self._node], seconds, eviction.outcome != "lost")
        self._withdrawal_at = time.monotonic() + _SECONDS_TO_WITHDRAWAL if is_withdrawn else None
        self.announced.append(eviction)
        self._show(f"The eviction of {self._node} in {seconds:g} s is announced, after step {self._step()}.")

    def _is_due(self, eviction: PlannedEviction) -> bool:
        if eviction.is_step:
            return self._step() >= eviction.at
        return time.monotonic() - self._started_at >= eviction.at

    def _step(self) -> int:
        return max((read_progress(file).step for file in self._progress.iterdir()), default=0)
