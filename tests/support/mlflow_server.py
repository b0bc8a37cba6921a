"""A real ``mlflow server`` on this machine, and a proxy before it that fails when it is asked to."""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from submit.emulator.faults import Fault, FaultInjector
from submit.emulator.state import RecordedRequest
from submit.execution import nodes

_START_SECONDS = 120.0
_CONNECTION_HEADERS = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


@contextmanager
def mlflow_server(folder: Path, *options: str) -> Iterator[str]:
    """Its address; what it stores is in the folder."""
    port = nodes.free_port()
    places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "files")]
    address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    variables = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *places, *address, *options],
            cwd=folder,
            env=os.environ | variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_healthy(port, process, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 9)
            process.wait()


def _wait_until_healthy(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise AssertionError(f"the server isn't healthy: {log.read_text()}")


class FaultyProxy:
    """Passes requests on to a server, unless a fault prevents it. It has the faults of the emulator.

    Args:
        address: The server's.
    """

    def __init__(self, address: str) -> None:
        self._upstream = urlsplit(address).netloc
        self._faults = FaultInjector()
        self._port = 0
        self._server: _Listener | None = None
        self.recorded: list[RecordedRequest] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> Sequence[RecordedRequest]:
        return list(self.recorded)

    def inject(self, fault: Fault) -> None:
        self._faults.inject(fault)

    def clear_faults(self) -> None:
        self._faults.clear()

    def start(self) -> None:
        self._server = _Listener(self._port, self._upstream, self._faults, self.recorded)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Also ends connections that are kept open."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._faults.release()
            self._server = None

    def __enter__(self) -> "FaultyProxy":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Listener(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, upstream: str, faults: FaultInjector, recorded: list[RecordedRequest]) -> None:
        self.upstream, self.faults, self.recorded = upstream, faults, recorded
        self._open: set[object] = set()
        super().__init__(("127.0.0.1", port), _Connection)

    def process_request(self, request: object, client_address: object) -> None:
        self._open.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type]  # as http.server passes it

    def hang_up(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(2)  # type: ignore[attr-defined]  # a socket
            except OSError:
                continue

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | ValueError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as above


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        injection = self.server.faults.next_injection(urlsplit(self.path).path)
        injection.wait_before()
        status, headers, answer = 0, {}, b""
        if injection.response is not None:
            status, headers, answer = (
                injection.response.status,
                dict(injection.response.headers),
                injection.response.body,
            )
        elif injection.handled:
            status, headers, answer = self._pass_on(content)
        self.server.recorded.append(RecordedRequest(self.command, self.path, status or None, 0.0, len(content)))
        if injection.lost:
            injection.wait_instead_of_responding()
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815 http.server's names

    def _pass_on(self, content: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            given = {name: value for name, value in self.headers.items() if name.lower() not in _CONNECTION_HEADERS}
            connection.request(self.command, self.path, content or None, given)
            response = connection.getresponse()
            kept = {name: value for name, value in response.getheaders() if name.lower() not in _CONNECTION_HEADERS}
            return response.status, kept, response.read()
        finally:
            connection.close()

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""
