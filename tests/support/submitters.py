"""A user with a workspace: the command line of submit, and scripts of the real azureml-core."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from submit.emulator import AzureMLEmulator
from submit.emulator.workspace import SCOPE
from tests.support.commands import Outcome, environment
from tests.support.emulator_jobs import ask
from tests.support.projects import write_files

TRAINING = {
    "lightning_app/__init__.py": "",
    "lightning_app/fit.py": "",
    "lightning_app/check_flags.py": "print('[]')\n",
    "datamodules/__init__.py": "",
    "models/__init__.py": "",
    "pyproject.toml": "",
    ".amlignore": "*.ckpt\n.git/\n.venv/\n",
}
SOURCES = {
    "train.py": b"print('hello')\n",
    "data modules/\u00fcber.bin": bytes(range(256)),
    "a/b/deep.txt": b"deep\r\n",
    "empty": b"",
}
PRELUDE = """
import json, os, pathlib, sys
from azureml.core import Environment, Experiment, Model, Run, ScriptRunConfig, Workspace
from azureml.core.authentication import TokenAuthentication
from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.core.runconfig import PyTorchConfiguration

ws = Workspace.from_config(auth=TokenAuthentication(lambda audience: os.environ["TOKEN"], cloud="AzureCloud"))
experiment = Experiment(ws, "exp")

def submit(compute="gpu-cluster", **further):
    environment = Environment.from_docker_image("image", "registry/image:1")
    config = ScriptRunConfig(
        "src", script="train.py", arguments=["--epochs", 2], compute_target=compute, environment=environment, **further)
    return experiment.submit(config, tags={"team": "vision"})
"""


class Submitter:
    """A user whose working folder has the workspace's ``config.json``; no output may show ``token``.

    Scripts begin with ``prelude``, which has the client of SDK v1.

    Args:
        service: The emulator.
        folder: The working folder of the commands.
        home: The home of the client, which caches addresses there.
    """

    prelude = PRELUDE

    def __init__(self, service: AzureMLEmulator, folder: Path, home: Path | None = None) -> None:
        self.service = service
        self.folder = folder
        self.token = service.user_token()
        self._home = home or folder / "home"
        service.write_workspace_config(folder)

    def with_training(self) -> "Submitter":
        """Adds a cluster of two nodes, a dataset, and the folder ``training`` with the files that a snapshot needs."""
        self.service.add_compute("gpu-cluster", "Standard_NC24ads_A100_v4", 2)
        self.service.add_dataset("cifar10", "data/cifar10")
        self.service.add_datastore_file("data/cifar10/batches.meta", b"")
        write_files(self.folder / "training", {name: content.encode() for name, content in TRAINING.items()})
        return self

    def with_sources(self) -> "Submitter":
        """Adds a cluster of four nodes, and the folder ``src`` for scripts of azureml-core."""
        self.service.add_compute("gpu-cluster", "Standard_NC24ads_A100_v4", 4)
        write_files(self.folder / "src", SOURCES)
        return self

    def environment(self, **variables: str) -> dict[str, str]:
        workspace = self.service.workspace_environment(self._home) | {"AZUREML_ACCESS_TOKEN": self.token}
        return environment() | workspace | variables

    def start(
        self,
        *arguments: str,
        prefix: tuple[str, ...] = (),
        program: tuple[str, ...] = ("-m", "submit"),
        stderr: int = subprocess.PIPE,
        **variables: str,
    ) -> "subprocess.Popen[str]":
        """Starts a command of submit."""
        return subprocess.Popen(
            [*prefix, sys.executable, *program, *arguments],
            cwd=self.folder,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            # a shell lets its background jobs ignore SIGINT, and their children inherit that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    @contextmanager
    def running(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """A command that doesn't outlive the test."""
        with self.start(*arguments) as process:
            try:
                yield process
            finally:
                process.kill()

    def submit(self, *arguments: str, prefix: tuple[str, ...] = (), **variables: str) -> Outcome:
        """Runs a command of submit to its end."""
        return self.finish(self.start(*arguments, prefix=prefix, **variables))

    def finish(self, process: "subprocess.Popen[str]") -> Outcome:
        outcome = outcome_of(process)
        assert self.token not in outcome.out + outcome.err
        assert "sig=" not in outcome.out + outcome.err
        assert "Traceback" not in outcome.err
        return outcome

    def interrupt(self, process: "subprocess.Popen[str]", when: Callable[[], bool]) -> Outcome:
        """Presses Ctrl-C as soon as a condition holds."""
        until(when)
        process.send_signal(signal.SIGINT)
        return self.finish(process)

    def run_arguments(self, *arguments: str) -> list[str]:
        """``submit run`` for the folder ``training``."""
        job = ("--docker_image", "x:1", "--source_directory", "training", "--dataset", "cifar10")
        return ["run", *job, *arguments]

    def send(self, *arguments: str) -> str:
        """Sends a job; returns the id of its run, which is queued."""
        sent = self.submit(*self.run_arguments(*arguments))
        assert (sent.status, sent.problems) == (0, ""), sent
        return sent.out.split()[1]

    def add_run(self, artifacts: Mapping[str, bytes], status: str = "Completed") -> str:
        """Adds a run of somebody else with these files; returns its id."""
        run_id = self.service.new_run("lightning-azureml").id
        for path, content in artifacts.items():
            self.service.add_artifact(run_id, path, content)
        self.service.set_run_status(run_id, status)
        return run_id

    @contextmanager
    def script(self, script: str, home: str = "home") -> "Iterator[subprocess.Popen[str]]":
        """A script of azureml-core in a process, after the prelude."""
        workspace = self.service.workspace_environment(self.folder / home) | {"TOKEN": self.service.user_token()}
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [sys.executable, "-c", self.prelude + script],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "TZ": "UTC"} | workspace,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run_script(self, script: str, home: str = "home") -> str:
        """What the script prints; it must succeed."""
        with self.script(script, home) as process:
            out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        return out

    def script_result(self, script: str) -> Any:
        """The last line that the script prints, which is JSON."""
        return json.loads(self.run_script(script).splitlines()[-1])

    def request(self, method: str, path: str, content: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Status and content of the response to a request with the user's token, or another one."""
        return ask(self.service, method, path, content, self.service.user_token() if token is None else token)

    def submit_without_files(self, run_id: str) -> str:
        """Submits a job without files by a request."""
        definition = {"Configuration": {"target": "gpu-cluster", "script": "train.py"}, "SnapshotId": None}
        path = f"/execution/v1.0{SCOPE}/experiments/exp/snapshotrun?runId={run_id}"
        assert self.request("POST", path, definition) == (200, {"runId": run_id})
        return run_id


def outcome_of(process: "subprocess.Popen[str]", seconds: float = 200) -> Outcome:
    """Waits for the end of a process."""
    out, err = process.communicate(timeout=seconds)
    return Outcome(process.returncode, out or "", err or "")


def until(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.02)
