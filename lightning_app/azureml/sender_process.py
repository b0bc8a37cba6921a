"""The training's side of the sender: starts it, reads its messages and ends it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lightning_app.run_folder import RunFolder

_SECONDS_BETWEEN_STARTS = 30.0
_PROGRAM = "lightning_app.azureml.sender"
_HOME_OF_PACKAGE = Path(__file__).parents[2]


class SenderProcess:
    """The sender of one run folder. Only ``finish`` waits."""

    def __init__(self, folder: RunFolder, priority: Sequence[str]) -> None:
        self._folder, self._priority = folder, tuple(priority)
        self._working_directory = Path.cwd()  # to which the folder may be relative; the program may change its own
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    def ensure_running(self) -> list[str]:
        """Starts the sender, or restarts it if it has died, but not too often; returns messages for the user."""
        if self._is_running() or time.monotonic() - self._started_at < _SECONDS_BETWEEN_STARTS:
            return self._read_messages()
        messages = self._read_messages()
        status = self._process.returncode if self._process else 0
        if status > 0:  # negative: somebody sent it a signal
            messages.append(
                f"The sender of metrics failed and is restarted; the reason is in {self._folder.sender_log}."
            )
        self._start()
        return messages

    def _read_messages(self) -> list[str]:
        if self._process is None or self._process.stdout is None:
            return []
        with contextlib.suppress(BlockingIOError):
            return os.read(self._process.stdout.fileno(), 65536).decode(errors="replace").splitlines()
        return []

    def finish(self, timeout: float) -> list[str]:
        """Lets the sender deliver the rest, ends it after ``timeout`` seconds, and returns its last messages."""
        deadline = time.monotonic() + timeout
        if not self._is_running():
            self._start()
        process = self._process
        assert process is not None
        with contextlib.suppress(OSError):  # it may just have died
            assert process.stdin is not None
            process.stdin.write(b"done\n")
            process.stdin.flush()
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        messages = self._read_messages()
        self._close()
        return messages

    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        self._close()
        self._started_at = time.monotonic()
        options = ["--training_pid", str(os.getpid()), "--priority", *self._priority]
        paths = [str(_HOME_OF_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
        with (self._working_directory / self._folder.sender_log).open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _PROGRAM, str(self._folder.root), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self._working_directory,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # a signal to the training's process group must not end the sender
            )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def _close(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()
        self._process = None
