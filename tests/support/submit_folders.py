"""A folder from which somebody submits, and the command line in it, as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from submit.emulator import AzureMLEmulator
from tests.support.commands import Outcome, environment

# as python -m submit, and hearing Ctrl-C in a background job, too, which shells let ignore it
_SUBMIT = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from submit.main import main; sys.exit(main(sys.argv[1:]))"
)
_TRAINING = {
    "lightning_app/__init__.py": "",
    "lightning_app/fit.py": "",
    "datamodules/__init__.py": "",
    "models/__init__.py": "",
    "pyproject.toml": "",
    ".amlignore": "*.ckpt\n.git/\n.venv/\n",
}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@dataclass(frozen=True)
class Place:
    """A folder with a config.json and a small training in it, of somebody who may use the service."""

    service: AzureMLEmulator
    folder: Path

    def prepare(self) -> "Place":
        self.service.add_compute("gpu-cluster", "Standard_NC24ads_A100_v4", 2)
        self.service.write_workspace_config(self.folder)
        write_files(self.folder / "training", {name: content.encode() for name, content in _TRAINING.items()})
        return self

    def environment(self) -> dict[str, str]:
        there = self.service.workspace_environment(self.folder / "home")
        return environment() | there | {"AZUREML_ACCESS_TOKEN": self.service.user_token()}

    @contextmanager
    def started(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """The command, which doesn't outlive the test."""
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", _SUBMIT, *arguments]
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environment(), stdout=pipe, stderr=pipe, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def submit(self, *arguments: str) -> Outcome:
        with self.started(*arguments) as process:
            return outcome(process)

    def sending(self, *arguments: str) -> list[str]:
        return ["run", "--docker_image", "x:1", "--source_directory", "training", *arguments]

    def send(self, *arguments: str) -> str:
        """A job's run, which is queued; its id."""
        sent = self.submit(*self.sending(*arguments))
        assert (sent.status, sent.err) == (0, "")
        return sent.out.split()[1]

    def run(self, artifacts: Mapping[str, bytes], status: str = "Completed") -> str:
        """A run that somebody else has sent, with these files; its id."""
        run_id = self.service.new_run("lightning-azureml").id
        for path, content in artifacts.items():
            self.service.add_artifact(run_id, path, content)
        self.service.set_run_status(run_id, status)
        return run_id


def outcome(process: "subprocess.Popen[str]", seconds: float = 60) -> Outcome:
    """What is left of it when it has ended."""
    out, err = process.communicate(timeout=seconds)
    return Outcome(process.returncode, out, err)
