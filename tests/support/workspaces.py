"""The emulator with a workspace, as a program: a shell that is logged in, and scripts in it."""

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import ROOT, Outcome, environment


@dataclass(frozen=True)
class LoggedIn:
    """The folder of a user with ``config.json``, and the variables that the emulator has printed."""

    folder: Path
    variables: dict[str, str]
    process: "subprocess.Popen[str]"
    pythonpath: Path = ROOT

    def run(self, *command: str) -> Outcome:
        """A command of the user, to its end."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment() | {"TZ": "UTC", "PYTHONPATH": str(self.pythonpath)} | self.variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def script(self, text: str) -> str:
        """What a script of azureml-core prints; it must succeed."""
        outcome = self.run(sys.executable, "-c", text)
        assert outcome.status == 0, outcome.err
        return outcome.out


@contextmanager
def workspace(
    folder: Path, *arguments: str, temporary: Path | None = None, pythonpath: Path = ROOT
) -> Iterator[LoggedIn]:
    """Starts ``python -m submit.emulator --workspace``; ``temporary`` is its temporary directory.

    ``pythonpath`` has this project as the user's own commands find it.
    """
    command = [sys.executable, "-m", "submit.emulator", "--workspace", str(folder), *arguments]
    variables = environment() | ({"TMPDIR": str(temporary)} if temporary else {})
    with (
        (folder / "emulator.log").open("w") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # a shell lets its background jobs ignore SIGINT, and their children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process,
    ):
        try:
            yield LoggedIn(folder, _exports(process), process, pythonpath)
        finally:
            process.kill()


def _exports(process: "subprocess.Popen[str]") -> dict[str, str]:
    assert process.stdout is not None
    found: dict[str, str] = {}
    while "AZUREML_ACCESS_TOKEN" not in found:
        line = process.stdout.readline()
        assert line, "the emulator has ended"
        if line.startswith("export "):
            name, _, value = shlex.split(line)[1].partition("=")
            found[name] = value
    return found


def wait_until_gone(path: Path) -> None:
    """Waits until a file or folder has been removed."""
    deadline = time.monotonic() + 60
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.05)
