"""What the service answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import responses
from typing import Any


@dataclass(frozen=True)
class Answer:
    """An HTTP response; its length is added when it is written."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self, method: str) -> bytes:
        """All of it in one piece, so that one packet carries a small answer; of a HEAD without the body."""
        headers = {"Content-Length": str(len(self.body))} | dict(self.headers)
        lines = [f"HTTP/1.1 {self.status} {responses.get(self.status, 'Rehearsed')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if method == "HEAD" else self.body)


class RefusalError(Exception):
    """A request that the service won't carry out; nothing of it was."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.answer = json_answer(error(code, message), status)


class UnknownRouteError(Exception):
    """Whoever asks knows a route that isn't there for it."""


def json_answer(content: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"})


def error(code: str, message: str) -> dict[str, Any]:
    """An error as the services word it; without ``details`` the client breaks down over the error itself."""
    return {"error": {"code": code, "message": message, "details": []}}
