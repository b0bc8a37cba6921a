"""The training's side: starts the agent, says where it is, and hears when it has to end."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from lightning_app.watchdog import reports
from lightning_app.watchdog.protocol import Message, ProcessId, SharedProgress, Timeouts, encode_message, truncate
from lightning_app.watchdog.stacks import stack_of_main_thread

WHERE = "LIGHTNING_APP_WATCHDOG"  # ADDRESS:PORT of rank 0's, for the processes that Lightning starts
# what tells one training from another that runs beside it
_JOBS = ("AZUREML_RUN_ID", "TORCHELASTIC_RUN_ID", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid")
_ROOT = Path(__file__).parents[2]
_SCRIPT = "import sys; sys.path.append(sys.argv[1]); from lightning_app.watchdog.agent import main; main(sys.argv[2])"
_SECONDS_TO_START = 20.0
_SECONDS_BEHIND = 0.5  # launchers name the process that ended first as the one to blame


@dataclass(frozen=True)
class Verdict:
    """The training has failed; ``is_ours`` where it was this process."""

    text: str
    is_ours: bool
    is_from_all: bool
    status: int


class Watchdog:
    """Does nothing until it is started, which a training of one process never does."""

    def __init__(self, limits: Timeouts | None = None) -> None:
        self._limits = limits or Timeouts()
        self.page: SharedProgress | None = None
        self.is_first = True
        self.starter: int | None = None  # the process of this program that had Lightning start this one
        self.before_end: list[Callable[[], None]] = []
        self._agent: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._heard = threading.Condition()
        self._port: int | None = None
        self._verdict: Verdict | None = None
        self._is_closed = self._is_waiting = False

    @property
    def is_running(self) -> bool:
        return self._socket is not None

    def start(self, place: ProcessId, address: str, port: int, nodes: int, expected: int) -> None:
        """Starts the agent.

        Args:
            place: This process among the others.
            address: Of rank 0; the first process listens there itself.
            port: There; 0 for a free one.
            nodes: On which there are processes.
            expected: Processes of the training, as far as is known.
        """
        self.is_first = place.is_first
        ours, theirs = socket.socketpair()
        self.page = SharedProgress()
        task = {
            "place": place.as_message(),
            "parent": os.getpid(),
            "address": address,
            "port": port,
            "nodes": nodes,
            "expected": expected,
            "job": next((os.environ[name] for name in _JOBS if name in os.environ), ""),
            "folder": "outputs",
            "training": theirs.fileno(),
            "page": self.page.descriptor,
            "limits": asdict(self._limits),
        }
        self._agent = subprocess.Popen(  # noqa: S603 this program's own
            [sys.executable, "-I", "-S", "-c", _SCRIPT, str(_ROOT), json.dumps(task)],
            pass_fds=(theirs.fileno(), self.page.descriptor),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # whoever ends the training's group leaves the agent to tell of it
        )
        theirs.close()
        self._socket = ours
        threading.Thread(target=self._listen, name="watchdog", daemon=True).start()
        if port == 0:
            self._wait(lambda: self._port is not None, _SECONDS_TO_START)
        os.environ[WHERE] = f"{address}:{port or self._port}"

    def describe(self, rank: int, world_size: int, folder: Path, stall_timeout: float) -> None:
        """What is known only when the command line has been read."""
        self._send({"rank": rank, "expected": world_size, "folder": str(folder.absolute()), "stall": stall_timeout})

    def failed(self, kind: str, text: str) -> Verdict | None:
        """Tells the others, and waits for what was the cause; None where nobody is there to say."""
        if not self.is_running:
            return None
        self._is_waiting = True
        self._send({"failed": {"kind": kind, "text": truncate(text)}})
        longest = self._limits.collective + 2 * self._limits.lost
        self._wait(lambda: self._verdict is not None or self._is_closed, longest)
        return self._verdict

    def done(self) -> Verdict | None:
        """This process has nothing more to do; the first waits for the others, and hears if one fails meanwhile."""
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
        with self._heard:
            self._heard.wait_for(condition, timeout)

    def _listen(self) -> None:
        assert self._socket is not None
        with self._socket.makefile("rb") as lines:
            for text in lines:
                self._hear(json.loads(text))
        self._hear(
            {"closed": True} if self._is_waiting else {"text": "\nFAILED: the watchdog was ended.", "verdict": {}}
        )

    def _hear(self, message: Message) -> None:
        if "stack?" in message:
            self._send({"stack": truncate(stack_of_main_thread())})
            return
        with self._heard:
            self._port = message.get("port", self._port)
            self._is_closed = self._is_closed or "closed" in message
            if "verdict" in message and self._verdict is None:
                who, kind = message["verdict"].get("who"), message["verdict"].get("kind")
                everybody = kind == reports.USAGE_ERROR and not who
                status = reports.exit_status(kind or reports.KILLED)
                self._verdict = Verdict(message["text"], bool(message.get("yours")), everybody, status)
            self._heard.notify_all()
        if self._verdict is not None and not self._is_waiting and not self._verdict.is_ours:
            # from this thread: the main one waits in a collective operation for somebody who is gone
            self.leave(self._verdict, self._verdict.status)

    def leave(self, verdict: Verdict, status: int) -> NoReturn:
        """Ends the process at once: what would be done at the interpreter's end may wait for the others again."""
        for action in self.before_end:
            with contextlib.suppress(Exception):  # whatever fails here, the process has to end
                action()
        if not verdict.is_ours:
            time.sleep(_SECONDS_BEHIND)
        if not verdict.is_from_all or self.is_first:
            print(verdict.text, file=sys.stderr, flush=True)
        sys.stdout.flush()
        self._let_starter_go_first()
        os._exit(status)

    def _let_starter_go_first(self) -> None:
        """Lightning kills the process that has started others as soon as one of them ends, whatever it is still at."""
        deadline = time.monotonic() + 2 * self._limits.end
        while self.starter is not None and os.getppid() == self.starter and time.monotonic() < deadline:
            time.sleep(0.05)
