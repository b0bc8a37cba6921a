"""A command on a node of ``tests.support.namespaces``: its output, and waiting for it."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.support.commands import Outcome

SECONDS = 240  # a training of these tests ends within them, with four processes on two busy cores


class Process:
    """A command that runs on a node. Its output goes to files, so that it never waits for a reader.

    ``popen.pid`` is the command itself, the leader of its own process group.
    """

    def __init__(self, name: str, popen: subprocess.Popen[bytes], logs: Path) -> None:
        self.name, self.popen, self._logs = name, popen, logs

    @property
    def out(self) -> str:
        return self._logs.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        return self._logs.with_suffix(".err").read_text()

    def wait_for(self, text: str, seconds: float = SECONDS) -> None:
        """Waits until standard output contains the text; fails the test if it doesn't."""
        deadline = time.monotonic() + seconds
        while text not in self.out:
            ended = self.popen.poll() is not None
            if time.monotonic() > deadline or (ended and text not in self.out):
                pytest.fail(f"{self.name} hasn't printed {text!r}\n{self.logs()}")
            time.sleep(0.05)

    def finish(self, seconds: float = SECONDS) -> Outcome:
        """Exit status and output; fails the test if the command runs for longer."""
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} hasn't ended within {seconds:.0f} s\n{self.logs()}")
        return Outcome(self.popen.returncode, self.out, self.err)

    def logs(self) -> str:
        return f"--- {self.name}, standard output\n{self.out}\n--- {self.name}, standard error\n{self.err}"
