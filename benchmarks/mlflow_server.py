"""MLflow's own server as a process on this machine."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

HOST = "127.0.0.1"
SECONDS_TO_START = 120.0  # it makes its database first
SECONDS_TO_END = 20.0
PAGE = 10_000  # rows


class MLflowServer:
    """``mlflow server`` with SQLite for metrics and files for artifacts, in a folder.

    Raises:
        RuntimeError: It doesn't answer in time.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        # its jobs, which have nothing to do with metrics, would be processes beside those that are measured
        self._environment = {**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._log = folder / "mlflow-server.log"
        self.port = _free_port()

    def __enter__(self) -> "MLflowServer":
        options = ["--host", HOST, "--port", str(self.port), "--workers", "1"]
        options += ["--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db"]
        options += ["--artifacts-destination", f"{self._folder}/artifacts"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *options],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # its workers are of its group, and end with it
            )
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def rows(self, run_id: str, metric: str) -> Iterator[tuple[int, float]]:
        """Step and value of each row that it holds."""
        asked = {"run_id": run_id, "metric_key": metric, "max_results": str(PAGE)}
        while True:
            page = self._get(f"/api/2.0/mlflow/metrics/get-history?{urlencode(asked)}")
            yield from ((int(row.get("step", 0)), float(row["value"])) for row in page.get("metrics", []))
            if not page.get("next_page_token"):
                return
            asked["page_token"] = page["next_page_token"]

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            connection.request("GET", path)
            content: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return content

    def _wait(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._is_healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mlflow server doesn't answer; its last words:\n{self._log.read_text()[-2000:]}")
            time.sleep(0.2)

    def _is_healthy(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def _end(self) -> None:
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # the whole group has ended
            os.killpg(self._process.pid, number)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port
