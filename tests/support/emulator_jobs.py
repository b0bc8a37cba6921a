"""A job of the emulator: scripts of the real azureml-core in its environment, and requests made by hand."""

import http.client
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from submit.emulator import AzureMLEmulator
from submit.emulator.workspace import SCOPE, experiment_id

GET_CONTEXT = "import json, pathlib, sys, time\nfrom azureml.core import Run\nrun = Run.get_context()\n"


class Job:
    """A run, with a folder that stands for its node's disk."""

    def __init__(self, service: AzureMLEmulator, folder: Path, token_seconds: float = 3600) -> None:
        self.service = service
        self.folder = folder
        self.run_id = service.new_run("exp").id
        self.environment = service.job_environment(self.run_id, folder / "home", token_seconds)

    @contextmanager
    def start(self, script: str, **environment: str) -> "Iterator[subprocess.Popen[str]]":
        """The script in a process of the job, after ``run = Run.get_context()``."""
        command = [sys.executable, "-c", GET_CONTEXT + script]
        variables = {"PATH": os.environ["PATH"], "TZ": "UTC"} | self.environment | environment
        with running(command, self.folder, variables) as process:
            yield process

    def does(self, script: str, **environment: str) -> str:
        """What the script prints; it must succeed."""
        status, out, error = self.tries(script, **environment)
        assert status == 0, error
        return out

    def tries(self, script: str, **environment: str) -> tuple[int, str, str]:
        with self.start(script, **environment) as process:
            out, error = process.communicate(timeout=60)
        return process.returncode, out, error

    def ask(self, method: str, path: str, content: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Status and content of what the service answers to the job's token, or another."""
        return ask(self.service, method, path, content, token or self.environment["AZUREML_RUN_TOKEN"])

    @property
    def history(self) -> str:
        return f"/history/v1.0{SCOPE}/experimentids/{experiment_id('exp')}/runs/{self.run_id}"

    @property
    def metric(self) -> str:
        return f"/metric/v2.0{SCOPE}/runs/{self.run_id}"

    @property
    def artifact(self) -> str:
        return f"/artifact/v2.0{SCOPE}/artifacts/batch/metadata/ExperimentRun/dcid.{self.run_id}"

    def counts(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self.service.run(self.run_id).metrics.items()}

    def statuses(self, path: str) -> list[int | None]:
        return [request.status for request in self.service.requests if path in request.path]


@contextmanager
def running(
    command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> "Iterator[subprocess.Popen[str]]":
    """A process that doesn't outlive the test."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(service: AzureMLEmulator, method: str, path: str, content: Any, token: str = "") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    try:
        body = content if isinstance(content, bytes | None) else json.dumps(content)
        connection.request(method, path, body, {"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or "null")
    finally:
        connection.close()


def batch(*names: str, rows: int = 1, columns: int = 1, value: Any = 1.0, second: int = 0) -> dict[str, Any]:
    """Of metrics, each with these rows; the first column is called like the metric."""

    def row(name: str, step: int) -> dict[str, Any]:
        data = {column(name, number): value for number in range(columns)}
        created = f"2026-11-20T22:00:{second:02}.5Z"
        return {"metricId": str(uuid.uuid4()), "createdUtc": created, "step": step, "data": data}

    def column(name: str, number: int) -> str:
        return name if number == 0 else f"{name}{number}"

    values = [
        {
            "name": name,
            "columns": {column(name, number): "double" for number in range(columns)},
            "value": [row(name, step) for step in range(rows)],
            "properties": {"uxMetricType": "azureml.v1.scalar"},
        }
        for name in names
    ]
    return {"values": values, "reportErrors": True}


@pytest.fixture
def job(service: AzureMLEmulator, tmp_path: Path) -> Job:
    return Job(service, tmp_path)
