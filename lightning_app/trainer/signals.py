"""SIGTERM, Ctrl-C and a lost launcher end training at the next boundary between two steps; SIGUSR1 saves it there.

A handler does next to nothing: what it would call may be running already, and other processes may wait for this one in
a collective operation. A thread of its own notices the signal at once, even while the main thread waits in a library.
"""

import contextlib
import multiprocessing.util  # noqa: F401  registers its own hooks for a fork before those of this module
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from lightning_app.distributed.launcher_process import LauncherProcess
from lightning_app.watchdog.protocol import Timeouts
from lightning_app.watchdog.stop import StopCause, Stopped
from lightning_app.watchdog.watchdog import Watchdog

_NAMES = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")  # SIGHUP: the terminal was closed
_TO_SAVE = getattr(signal, "SIGUSR1", None)  # Windows doesn't have it
_POLL_SECONDS = 1.0
_SECONDS_BETWEEN = 1.0  # launchers and terminals send a signal twice at once; a second Ctrl-C comes later
_SECONDS_AFTER_WATCHDOG = 15.0  # it ends a training of several processes, and this is for the case that it can't
_LOADER = os.path.join("torch", "utils", "data", "dataloader.py")  # noqa: PTH118 compared with names of code


def handled_signals() -> list[signal.Signals]:
    """Those that this system has and that aren't ignored since the start of the process, as after nohup."""
    existing = [signal.Signals[name] for name in _NAMES if hasattr(signal, name)]
    return [number for number in existing if signal.getsignal(number) is not signal.SIG_IGN]


class SignalHandling:
    """Use it as a context manager around the program's work, in the main thread."""

    def __init__(self, watchdog: Watchdog, launcher: LauncherProcess | None) -> None:
        self._watchdog, self._launcher = watchdog, launcher
        self._stop_point = watchdog.stop_point
        self._seconds = Timeouts()
        self._reader, self._writer = socket.socketpair()
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._handlers: dict[signal.Signals, Any] = {}
        self._is_closed = self._has_raised = False
        self._first_signal_at: float | None = None
        self._requested_at: float | None = None
        self._reached_at: float | None = None

    def __enter__(self) -> "SignalHandling":
        if threading.current_thread() is threading.main_thread():
            self._writer.setblocking(False)
            self._handlers = {number: signal.signal(number, self._handle) for number in handled_signals()}
            signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            _handle_forks()
            _ACTIVE.append(self)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            _ACTIVE.remove(self)
            self._is_closed = True
            signal.set_wakeup_fd(-1)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            self._writer.send(b"\0")
            self._thread.join()
        self._reader.close()
        self._writer.close()

    def install(self) -> None:
        """Again, after another library has set handlers of its own."""
        for number in self._handlers:
            if signal.getsignal(number) != self._handle:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Outside of the training loop, a single process has nothing to save, and ends wherever it is.

        Within the loop it has the cause from here on, so that the end of the loop can't miss it.
        """
        if number == _TO_SAVE or self._has_raised or self._stop_point.is_reached or self._watchdog.is_running:
            return
        self._stop_point.cause = cause = self._stop_point.cause or StopCause.from_signal(number)
        if not self._stop_point.in_training:
            self._has_raised = self._stop_point.is_reached = True
            raise Stopped(cause, self._stop_point.line())

    def _watch(self) -> None:
        while not self._is_closed:
            if select.select([self._reader], [], [], _POLL_SECONDS)[0]:
                for number in self._reader.recv(4096):
                    self._receive(number)
            if self._launcher is not None and self._requested_at is None and self._launcher.has_ended():
                self._request(StopCause(f"because {self._launcher} has ended"))
            self._end_when_late()

    def _receive(self, number: int) -> None:
        if number not in self._handlers:
            return
        if number == _TO_SAVE:
            self._watchdog.request_save("because of SIGUSR1")
            return
        now = time.monotonic()
        self._first_signal_at = self._first_signal_at or now
        cause = StopCause.from_signal(number)
        if number == signal.SIGINT and now - self._first_signal_at > _SECONDS_BETWEEN:
            self._end_at_once(cause)
        elif not self._stop_point.is_reached:
            self._request(cause)

    def _request(self, cause: StopCause) -> None:
        self._requested_at = self._requested_at or time.monotonic()
        self._watchdog.request_stop(cause, interrupts=not cause.signal)

    def _end_at_once(self, cause: StopCause) -> None:
        if self._watchdog.is_running:
            self._watchdog.request_stop(cause, now=True)
            time.sleep(self._seconds.shutdown)
        _exit(f"Stopped {cause.text} at once.", cause.status)

    def _end_when_late(self) -> None:
        cause = self._stop_point.cause
        if self._requested_at is None or cause is None:
            return
        now, more = time.monotonic(), _SECONDS_AFTER_WATCHDOG if self._watchdog.is_running else 0.0
        if self._stop_point.is_reached:
            self._reached_at = self._reached_at or now
            is_late = now - self._reached_at > self._seconds.save + more
        else:
            is_late = now - self._requested_at > self._watchdog.stall_timeout + self._seconds.boundary + more
        if is_late:
            _exit(f"{self._stop_point.line()} It didn't come to the end of a step in time.", cause.status)


def _exit(line: str, status: int) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(line, file=sys.stderr, flush=True)
    os._exit(status)


_ACTIVE: list[SignalHandling] = []
_FORK = {"is_handled": False, "is_loader": False}
# a request to save would end a process that has nothing to save
_AFTER_FORK: dict[int | None, Any] = {signal.SIGINT: signal.default_int_handler, _TO_SAVE: signal.SIG_IGN}


def install_again() -> None:
    """Makes the handlers of this module those of the process again."""
    for handling in _ACTIVE:
        handling.install()


def _handle_forks() -> None:
    if not _FORK["is_handled"] and hasattr(os, "register_at_fork"):
        _FORK["is_handled"] = True
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def _before_fork() -> None:
    _FORK["is_loader"] = bool(_ACTIVE) and any(
        frame.f_code.co_filename.endswith(_LOADER) for frame in _frames(sys._getframe())
    )


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _after_fork() -> None:
    """A forked process must not report a signal to this one. Workers of a DataLoader go on until they are ended.

    A signal to the process group, or to all processes of the job, reaches them as well, and training needs their
    images for its last step. They end when the training process ends them, or is gone.
    """
    if not _ACTIVE:
        return
    signal.set_wakeup_fd(-1)
    handled = list(_ACTIVE[-1]._handlers)
    _ACTIVE.clear()
    for number in handled:
        signal.signal(number, _AFTER_FORK.get(number, signal.SIG_DFL))
    if _FORK["is_loader"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
