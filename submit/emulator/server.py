"""HTTP/1.1 on a socket, and TLS inside tunnels for the hosts of Azure."""

import logging
import socket
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any

from submit.emulator.api import control
from submit.emulator.messages import Request, Response, parse_request
from submit.emulator.router import HOSTS, refuse_unknown, respond
from submit.emulator.state import RecordedRequest, State
from submit.emulator.workspace import TELEMETRY_HOST

log = logging.getLogger(__name__)


class Authority:
    """A certificate authority that lives as long as the emulator; only clients with its environment trust it."""

    def __init__(self) -> None:
        import trustme  # of the extra 'rehearse', which the emulator needs when it is made

        self._authority = trustme.CA()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def write_certificate(self, path: Path) -> None:
        self._authority.cert_pem.write_to_path(str(path))

    def context(self, host: str) -> ssl.SSLContext:
        """For the server side of TLS as this host."""
        if host not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._authority.issue_cert(host).configure_cert(context)
            self._contexts[host] = context
        return self._contexts[host]


class Server(ThreadingTCPServer):
    """Listens from its construction on; one thread per connection."""

    allow_reuse_address = True  # an emulator that was stopped can start again on its port
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, state: State, authority: Authority) -> None:
        self.state = state
        self.authority = authority
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)  # before its thread runs, so that hang_up ends it
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        """Ends all connections, also those that wait for a response."""
        for connection in list(self.connections):
            try:
                # SSLSocket's own shutdown takes the TLS state away from the thread that reads
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:  # it has ended by itself
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError | ssl.SSLError):
            log.exception("a connection from %s failed", client_address)


class Connection(BaseHTTPRequestHandler):
    """The requests of one connection, one after the other; after a CONNECT those inside the tunnel."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server
    host = ""

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()
        self.connection.close()

    def serve(self) -> None:
        """Reads one request, applies the injected faults, and sends the response unless a fault prevents it."""
        began = time.monotonic()
        request = parse_request(self.command, self.path, dict(self.headers.items()), self._read_body(), self.host)
        if request.path.startswith(control.PATH):
            self._send(respond(self.server.state, request).encoded(request.method))
            return
        injection = self.server.state.faults.next_injection(request.target)
        injection.wait_before()
        response = respond(self.server.state, request) if injection.handled else injection.response
        if injection.lost or response is None:
            self._record(request, None, began)
            injection.wait_instead_of_responding()
            self.close_connection = True
        else:
            self._record(request, response.status, began)
            self._send(response.encoded(request.method))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve  # noqa: N815 http.server's names

    def do_CONNECT(self) -> None:
        """The proxy: tunnels to hosts of Azure, all of which are the emulator, and to no other host."""
        host = self.path.partition(":")[0]
        if host in HOSTS:
            self._send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._speak_tls(host)
            self.close_connection = False  # clients ask for tunnels in HTTP/1.0, which would close it
        else:
            self._send(self._refused(host).encoded("CONNECT"))
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        log.debug(format, *arguments)

    def _refused(self, host: str) -> Response:
        if host == TELEMETRY_HOST:
            return Response(502)
        return refuse_unknown(self.server.state, "CONNECT", self.path, 502)

    def _read_body(self) -> bytes:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size)
        if len(body) < size:
            raise ConnectionAbortedError(f"{len(body)} of {size} bytes arrived")
        return body

    def _record(self, request: Request, status: int | None, began: float) -> None:
        seconds, size = time.monotonic() - began, len(request.body)
        with self.server.state.lock:
            self.server.state.requests.append(RecordedRequest(request.method, request.target, status, seconds, size))
        log.info("%s %s %s, %d bytes, %.3f s", status or "lost", request.method, request.target, size, seconds)

    def _send(self, content: bytes) -> None:
        self.connection.sendall(content)

    def _speak_tls(self, host: str) -> None:
        self.server.connections.discard(self.connection)
        context = self.server.authority.context(host)
        self.connection = context.wrap_socket(self.connection, server_side=True, do_handshake_on_connect=False)
        self.server.connections.add(self.connection)  # before the handshake, which may never come
        self.connection.do_handshake()
        self.rfile = self.connection.makefile("rb")
        self.host = host
