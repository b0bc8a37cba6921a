"""The training's side of the watchdog: starts the agent, reports to it, and ends the process after a failure."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from lightning_app.watchdog import reports
from lightning_app.watchdog.protocol import (
    AgentOptions,
    Message,
    ProcessId,
    SharedProgress,
    Timeouts,
    encode_message,
    truncate,
)
from lightning_app.watchdog.stacks import stack_of_main_thread
from lightning_app.watchdog.stop import StopCause, StopPoint

COORDINATOR_ADDRESS = "LIGHTNING_APP_WATCHDOG"  # HOST:PORT, for the processes that Lightning starts
_ROOT = Path(__file__).parents[2]
_SCRIPT = "import sys; sys.path.append(sys.argv[1]); from lightning_app.watchdog.agent import main; main(sys.argv[2])"
_STARTUP_SECONDS = 20.0
_SECONDS_AFTER_FIRST = 0.5  # launchers blame the process that ends first, which must be the one that failed


@dataclass(frozen=True)
class Verdict:
    """The training has failed.

    Args:
        text: The report, for the log.
        is_own: Whether this process caused the failure.
        is_shared: Whether it concerns all processes alike, as the same usage error or a signal; the first prints it.
        status: Exit status for this process.
    """

    text: str
    is_own: bool
    is_shared: bool
    status: int


class Watchdog:
    """Does nothing until it is started; a training of one process never starts it."""

    def __init__(self, timeouts: Timeouts | None = None) -> None:
        self._timeouts = timeouts or Timeouts()
        self.progress: SharedProgress | None = None
        self.is_first = True
        self.starter: int | None = None  # pid of the process in which Lightning started this one
        self.before_end: list[Callable[[], None]] = []
        self.stop_point = StopPoint()
        self.stall_timeout = self._timeouts.stall
        self._agent: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._changed = threading.Condition()
        self._port: int | None = None
        self._verdict: Verdict | None = None
        self._is_closed = self._is_waiting = False

    @property
    def is_running(self) -> bool:
        return self._socket is not None

    def start(self, process: ProcessId, address: str, port: int, nodes: int, expected_processes: int) -> None:
        """Starts the agent.

        Args:
            process: This process.
            address: Host of rank 0; the agent of the first process listens there.
            port: Its port; 0 for a free one.
            nodes: Number of nodes with processes of the training.
            expected_processes: Number of processes of the training, as far as is known.
        """
        self.is_first = process.is_first
        ours, theirs = socket.socketpair()
        self.progress = SharedProgress()
        options = AgentOptions(
            process=process,
            parent=os.getpid(),
            address=address,
            port=port,
            nodes=nodes,
            expected_processes=expected_processes,
            folder="outputs",
            training_socket=theirs.fileno(),
            progress_file=self.progress.descriptor,
            timeouts=self._timeouts,
        )
        self._agent = subprocess.Popen(  # noqa: S603 this program's own
            [sys.executable, "-I", "-S", "-c", _SCRIPT, str(_ROOT), options.to_json()],
            pass_fds=(theirs.fileno(), self.progress.descriptor),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a signal to the training's process group must not end the agent
        )
        theirs.close()
        self._socket = ours
        threading.Thread(target=self._receive, name="watchdog", daemon=True).start()
        if port == 0:
            self._wait(lambda: self._port is not None, _STARTUP_SECONDS)
        os.environ[COORDINATOR_ADDRESS] = f"{address}:{port or self._port}"

    def describe(self, rank: int, world_size: int, folder: Path, stall_timeout: float) -> None:
        """Sends what is known only after the command line has been read; ``stall_timeout`` is in seconds."""
        description = {"rank": rank, "expected_processes": world_size, "stall_timeout": stall_timeout}
        self._send({**description, "folder": str(folder.absolute())})

    def expect(self, processes: int) -> None:
        """Sends the number of processes, before Lightning starts some of them."""
        self._send({"expected_processes": processes})

    def request_stop(self, cause: StopCause, *, now: bool = False, interrupts: bool = False) -> None:
        """Stops all processes: at the next boundary that all of them can reach, or ``now``.

        ``interrupts`` is for a cause that isn't a signal, of which the main thread doesn't know outside of training.
        """
        if self.is_running:
            self._send({"stop": cause.to_message(), "now": now})
            return
        passed = self.stop_point.hold(cause)
        if passed is not None:
            self.stop_point.stop_after(passed)
        elif interrupts:
            os.kill(os.getpid(), signal.SIGTERM)

    def request_save(self, reason: str) -> None:
        """Lets all processes save at the next boundary that all of them can reach, and go on.

        Args:
            reason: Such as "because of SIGUSR1".
        """
        if self.is_running:
            self._send({"save": reason})
        else:
            passed = self.stop_point.hold_to_save(reason)
            if passed is not None:
                self.stop_point.save_after(passed)

    def report_stopping(self) -> None:
        """This process has reached the boundary at which all stop."""
        self._send({"stopping": True})

    def failed(self, kind: str, text: str, signal: int = 0) -> Verdict | None:
        """Reports a failure, and waits for the verdict with the root cause; None if there is no watchdog."""
        if not self.is_running:
            return None
        self._is_waiting = True
        self._send({"failure": {"kind": kind, "text": truncate(text), "signal": signal}})
        # after a signal, the first process may be writing a checkpoint
        to_decide = self._timeouts.save if kind in reports.STOPPED else self._timeouts.collective
        timeout = to_decide + 2 * self._timeouts.lost
        self._wait(lambda: self._verdict is not None or self._is_closed, timeout)
        return self._verdict

    def done(self) -> Verdict | None:
        """Reports that this process is done; the first one waits for all others, and returns a verdict if one fails."""
        if not self.is_running:
            return None
        self._is_waiting = True
        self._send({"done": True})
        self._wait(lambda: self._verdict is not None or self._is_closed, None)
        return self._verdict

    def _send(self, message: Message) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.sendall(encode_message(message))

    def _wait(self, condition: Callable[[], bool], timeout: float | None) -> None:
        with self._changed:
            self._changed.wait_for(condition, timeout)

    def _receive(self) -> None:
        assert self._socket is not None
        with self._socket.makefile("rb") as lines:
            for text in lines:
                self._handle_message(json.loads(text))
        agent_ended = {"text": "\nFAILED: the watchdog's agent has ended.", "verdict": {}}
        self._handle_message({"closed": True} if self._is_waiting else agent_ended)

    def _handle_message(self, message: Message) -> None:
        if "stack_request" in message:
            self._send({"stack": truncate(stack_of_main_thread())})
            return
        if "stop" in message:
            passed = self.stop_point.hold(StopCause.from_message(message["stop"]))
            self._send({"stop_reply": passed, "line": self.stop_point.line()})
            return
        if "stop_after" in message:
            self.stop_point.stop_after(message["stop_after"])
            return
        if "save" in message:
            passed = self.stop_point.hold_to_save(message["save"], message["number"])
            self._send({"save_reply": passed, "number": message["number"]})
            return
        if "save_after" in message:
            self.stop_point.save_after(message["save_after"], message["number"])
            return
        with self._changed:
            self._port = message.get("port", self._port)
            self._is_closed = self._is_closed or "closed" in message
            if "verdict" in message and self._verdict is None:
                self._verdict = _verdict(message)
            self._changed.notify_all()
        if self._verdict is not None and not self._is_waiting and not self._verdict.is_own:
            # from this thread: the main thread waits in a collective operation for a process that is gone
            self.leave(self._verdict, self._verdict.status)

    def leave(self, verdict: Verdict, status: int) -> NoReturn:
        """Ends the process at once: the interpreter's own shutdown may wait for the other processes again."""
        for action in self.before_end:
            with contextlib.suppress(Exception):  # the process has to end even if this fails
                action()
        if not verdict.is_own:
            time.sleep(_SECONDS_AFTER_FIRST)
        with contextlib.suppress(OSError):  # the terminal, or the launcher that reads this, may be gone
            if not verdict.is_shared or self.is_first:
                print(verdict.text, file=sys.stderr, flush=True)
            sys.stdout.flush()
        self._wait_for_starter()
        os._exit(status)

    def _wait_for_starter(self) -> None:
        """Lightning kills the process that has started others as soon as one of them ends, whatever it is doing."""
        deadline = time.monotonic() + 2 * self._timeouts.shutdown
        while self.starter is not None and os.getppid() == self.starter and time.monotonic() < deadline:
            time.sleep(0.05)


def _verdict(message: Message) -> Verdict:
    report = message["verdict"]
    kind = report.get("kind", reports.KILLED)
    is_shared = kind in reports.STOPPED or (kind == reports.USAGE_ERROR and not report.get("process"))
    status = reports.exit_status(kind, report.get("signal", 0))
    return Verdict(message["text"], bool(message.get("is_own")), is_shared, status)
