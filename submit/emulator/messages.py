"""HTTP requests and responses."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import responses
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    """An HTTP request. Header names are in lower case; ``host`` is empty for the emulator's own address."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    host: str = ""

    @property
    def target(self) -> str:
        """The path without the query, which in a blob's address holds the signature."""
        return f"https://{self.host}{self.path}" if self.host else self.path

    def json(self) -> Any:
        """The body; ApiError if it isn't JSON, such as the bare NaN that the client sends."""
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except ValueError as error:
            raise ApiError(400, "BadArgument", f"the body isn't valid JSON: {error}") from error


def parse_request(method: str, url: str, headers: Mapping[str, str], body: bytes, host: str) -> Request:
    parts = urlsplit(url)
    lowered = {name.lower(): value for name, value in headers.items()}
    path = parts.path if not parts.netloc else url  # a request that was meant for a proxy
    return Request(method, path, dict(parse_qsl(parts.query, keep_blank_values=True)), lowered, body, host)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON value")


@dataclass(frozen=True)
class Response:
    """An HTTP response; its length is added when it is written."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self, method: str) -> bytes:
        """The response as bytes, in one piece so that a small one fits into one packet; without the body for HEAD."""
        headers = {"Content-Length": str(len(self.body))} | dict(self.headers)
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, 'Emulated')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if method == "HEAD" else self.body)


class ApiError(Exception):
    """A request that is refused; nothing has changed."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.response = json_response(error_content(code, message), status)


class UnknownRouteError(Exception):
    """There is no such route for the client that sent the request."""


def json_response(content: Any, status: int = 200) -> Response:
    return Response(status, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"})


def error_content(code: str, message: str) -> dict[str, Any]:
    """An error as the services send it; without ``details`` the client fails while it reads the error."""
    return {"error": {"code": code, "message": message, "details": []}}
