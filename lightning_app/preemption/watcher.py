"""Watches for the end of this machine, and lets the training save and stop in time."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from lightning_app.preemption.scheduled_events import (
    ADDRESS,
    FIRST_RESPONSE,
    RESPONSE,
    Eviction,
    MetadataError,
    MetadataService,
)
from lightning_app.watchdog.stop import StopCause
from lightning_app.watchdog.watchdog import Watchdog

LOW_PRIORITY = "LIGHTNING_APP_LOW_PRIORITY"  # set by submit for a cluster whose machines may be taken away
METADATA_ADDRESS = "LIGHTNING_APP_METADATA_ADDRESS"  # of another metadata service, for a rehearsal
OnPreemption = Literal["auto", "end", "save", "ignore"]
_SECONDS_BETWEEN = 1.0
_SECONDS_AFTER_FAILURE = 30.0
_LEAST_MARGIN = 10.0  # seconds


class PreemptionWatcher:
    """A thread that asks the metadata service each second; training saves at once when the end is announced.

    If it isn't withdrawn, all processes stop shortly before it: ten seconds, or more if the first checkpoint has taken
    long. The training waits for neither.

    Args:
        watchdog: Of this process, which lets all processes save or stop at the same step.
        service: The metadata service of this machine.
        stops: Whether training stops before the end; otherwise it saves a second time and goes on.
        report: Called with each line for the user.
    """

    def __init__(
        self, watchdog: Watchdog, service: MetadataService, *, stops: bool, report: Callable[[str], None]
    ) -> None:
        self._watchdog, self._service, self._stops, self._report = watchdog, service, stops, report
        self._ended = threading.Event()
        self._acting = threading.Lock()
        self._machine = ""
        self._ends: dict[str, tuple[Eviction, float]] = {}  # by event, with the time of the monotonic clock
        self._requested_at = 0.0
        self._is_last_request_made = self._has_failed = self._has_answered = False

    def __enter__(self) -> "PreemptionWatcher":
        threading.Thread(target=self._watch, name="preemption", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """From here on it requests nothing. A request to the metadata service may still be under way."""
        with self._acting:
            self._ended.set()

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                announced = self._ask()
            except MetadataError as error:
                seconds = self._seconds_after(error)
            else:
                seconds = _SECONDS_BETWEEN
                self._compare(announced)
            self._stop_in_time()
            self._ended.wait(seconds if not self._ends else self._seconds_to_wait())

    def _ask(self) -> list[Eviction]:
        if not self._has_answered:
            self._machine = self._service.machine_name()
        announced = self._service.evictions(self._machine, RESPONSE if self._has_answered else FIRST_RESPONSE)
        self._has_answered = True
        return announced

    def _seconds_after(self, error: MetadataError) -> float:
        """An announced end stays announced while there is no answer."""
        if not self._has_failed:
            self._has_failed = True
            self._say(
                f"No preemption notice can be read from {self._service.address} ({error}); training goes on without."
            )
        return _SECONDS_BETWEEN if self._has_answered else _SECONDS_AFTER_FAILURE

    def _compare(self, announced: list[Eviction]) -> None:
        now = time.monotonic()
        ids = {eviction.id for eviction in announced}
        withdrawn = [eviction for eviction, _ in self._ends.values() if eviction.id not in ids]
        new = [eviction for eviction in announced if eviction.id not in self._ends]
        self._ends = {eviction.id: (eviction, now + eviction.seconds) for eviction in announced}
        if withdrawn and not self._ends and not (self._is_last_request_made and self._stops):
            self._is_last_request_made = False
            self._say("Azure has withdrawn the notice; training goes on.")
        for eviction in new:
            self._say(f"Azure takes this machine away: {self._described(eviction)}, in {eviction.seconds:.0f} s.")
        if new and self._seconds_left() > 0:
            self._requested_at = time.monotonic()
            self._act(lambda: self._watchdog.request_save(f"because of the notice for {self._described(new[0])}"))

    def _described(self, eviction: Eviction) -> str:
        return " ".join(filter(None, [self._machine, f"at {eviction.at}" if eviction.at else "now"]))

    def _stop_in_time(self) -> None:
        if not self._ends or self._is_last_request_made or self._seconds_left() > 0:
            return
        self._is_last_request_made = True
        eviction = min(self._ends.values(), key=lambda end: end[1])[0]
        if self._stops:
            cause = StopCause(f"by preemption ({self._described(eviction)})", signal.SIGTERM)
            self._act(lambda: self._watchdog.request_stop(cause, interrupts=True))
        else:
            self._act(lambda: self._watchdog.request_save(f"shortly before {self._described(eviction)}"))

    def _act(self, action: Callable[[], None]) -> None:
        with self._acting:
            if not self._ended.is_set():
                action()

    def _seconds_left(self) -> float:
        """Until the last request must be made."""
        saved_at = self._watchdog.stop_point.saved_at
        seconds_to_save = saved_at - self._requested_at if saved_at > self._requested_at > 0 else 0.0
        margin = max(_LEAST_MARGIN, 2 * seconds_to_save)
        return min(end for _, end in self._ends.values()) - margin - time.monotonic()

    def _seconds_to_wait(self) -> float:
        left = self._seconds_left()
        return min(_SECONDS_BETWEEN, left) if left > 0 else _SECONDS_BETWEEN

    def _say(self, line: str) -> None:
        if not self._ended.is_set():
            self._report(line)


def preemption_watcher(
    watchdog: Watchdog, choice: OnPreemption, report: Callable[[str], None], environment: Mapping[str, str] = os.environ
) -> AbstractContextManager[object]:
    """The watcher that was chosen; "auto" is "end" where ``LOW_PRIORITY`` says that the machine may be taken away."""
    is_low_priority = environment.get(LOW_PRIORITY, "") not in ("", "0")
    if choice == "ignore" or (choice == "auto" and not is_low_priority):
        return nullcontext()
    service = MetadataService(environment.get(METADATA_ADDRESS) or ADDRESS)
    return PreemptionWatcher(watchdog, service, stops=choice != "save", report=report)
