"""Somebody who submits to the emulator: scripts of the real azureml-core, and requests made by hand."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from submit.emulator import AzureMLEmulator
from submit.emulator.workspace import SCOPE
from tests.support.emulator_jobs import ask
from tests.support.submit_folders import write_files

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
FILES = {
    "train.py": b"print('hello')\n",
    "data modules/\u00fcber.bin": bytes(range(256)),
    "a/b/deep.txt": b"deep\r\n",
    "empty": b"",
}


class User:
    """Someone who submits, with a folder that has a configuration and sources."""

    def __init__(self, service: AzureMLEmulator, folder: Path) -> None:
        self.service = service
        self.folder = folder
        write_files(folder / "src", FILES)
        service.write_workspace_config(folder)
        service.add_compute("gpu-cluster", "Standard_NC24ads_A100_v4", 4)

    @contextmanager
    def start(self, script: str, home: str = "home") -> "Iterator[subprocess.Popen[str]]":
        """The script in a process of its own, after the prelude."""
        environment = self.service.workspace_environment(self.folder / home) | {"TOKEN": self.service.user_token()}
        variables = {"PATH": os.environ["PATH"], "TZ": "UTC"} | environment
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script],
            cwd=self.folder,
            env=variables,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def does(self, script: str, home: str = "home") -> str:
        """What the script prints; it must succeed."""
        with self.start(script, home) as process:
            out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        return out

    def result(self, script: str) -> Any:
        """The last line that the script prints, which is JSON."""
        return json.loads(self.does(script).splitlines()[-1])

    def ask(self, method: str, path: str, content: Any = None, token: str | None = None) -> tuple[int, Any]:
        return ask(self.service, method, path, content, self.service.user_token() if token is None else token)

    def submit(self, run_id: str) -> str:
        """A job without files, submitted by hand."""
        definition = {"Configuration": {"target": "gpu-cluster", "script": "train.py"}, "SnapshotId": None}
        path = f"/execution/v1.0{SCOPE}/experiments/exp/snapshotrun?runId={run_id}"
        assert self.ask("POST", path, definition) == (200, {"runId": run_id})
        return run_id


@pytest.fixture
def user(service: AzureMLEmulator, tmp_path: Path) -> User:
    return User(service, tmp_path)
