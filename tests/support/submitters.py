"""Somebody at the command line of submit, who may interrupt it; nobody may read their token anywhere."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.commands import Outcome, environment


class Person:
    """Someone with a workspace's configuration and a folder; ``token`` is what nobody may read anywhere."""

    def __init__(self, service: AzureMLEmulator, folder: Path) -> None:
        self.service = service
        self.folder = folder
        self.token = service.user_token()
        service.write_workspace_config(folder)

    def start(
        self,
        *arguments: str,
        prefix: tuple[str, ...] = (),
        program: tuple[str, ...] = ("-m", "submit"),
        stderr: int = subprocess.PIPE,
    ) -> "subprocess.Popen[str]":
        variables = self.service.workspace_environment(self.folder / "home") | {"AZUREML_ACCESS_TOKEN": self.token}
        return subprocess.Popen(
            [*prefix, sys.executable, *program, *arguments],
            cwd=self.folder,
            env=environment() | variables,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            # a shell starts its background jobs deaf to interrupts, and their children inherit it
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments: str, prefix: tuple[str, ...] = ()) -> Outcome:
        return self.end(self.start(*arguments, prefix=prefix))

    def end(self, process: "subprocess.Popen[str]") -> Outcome:
        out, err = process.communicate(timeout=60)
        assert self.token not in out + err
        assert "sig=" not in out + err
        assert "Traceback" not in err
        return Outcome(process.returncode, out, err)

    def interrupt(self, process: "subprocess.Popen[str]", when: Callable[[], bool]) -> Outcome:
        until(when)
        process.send_signal(signal.SIGINT)
        pressed = time.monotonic()
        outcome = self.end(process)
        assert time.monotonic() - pressed < 5
        return outcome


@pytest.fixture
def person(service: AzureMLEmulator, tmp_path: Path) -> Person:
    return Person(service, tmp_path)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it didn't come to that"
        time.sleep(0.02)
