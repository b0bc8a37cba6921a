"""A network's delay in front of a server on this machine."""

import contextlib
import socket
import threading
import time
from io import BufferedIOBase
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import TracebackType

HOST = "127.0.0.1"


class SlowProxy:
    """Forwards HTTP requests to a port of this machine, each of them ``latency`` seconds late, and counts them.

    Answers come back at once: ``latency`` is that of there and back. Opening a connection costs nothing.
    """

    def __init__(self, target_port: int, latency: float) -> None:
        self._server = _Server(target_port, latency)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_address[1]}"

    @property
    def requests(self) -> int:
        return self._server.requests

    def __enter__(self) -> "SlowProxy":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False  # a client that keeps its connection open isn't waited for

    def __init__(self, target_port: int, latency: float) -> None:
        self.target_port, self.latency = target_port, latency
        self.requests = 0
        self._lock = threading.Lock()
        super().__init__((HOST, 0), _Connection)

    def count_request(self) -> None:
        with self._lock:
            self.requests += 1


class _Connection(StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        with (
            contextlib.suppress(ConnectionError),  # either side may end it
            socket.create_connection((HOST, self.server.target_port)) as target,
        ):
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            responses = threading.Thread(target=_forward, args=(target, self.connection), daemon=True)
            responses.start()
            while request := _next_request(self.rfile):
                self.server.count_request()
                time.sleep(self.server.latency)
                target.sendall(request)
            target.shutdown(socket.SHUT_WR)
            responses.join()


def _next_request(stream: BufferedIOBase) -> bytes:
    """Head and body as they came; empty at the end of the connection."""
    # whole, as http.client sends the two one after the other and each of them would be held up
    head, length = b"", 0
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        head += line
    return head + line + stream.read(length) if line else b""


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_RDWR)
