"""What the service is asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

from submit.rehearsal.answers import RefusalError


@dataclass(frozen=True)
class Call:
    """An HTTP request; header names are in lower case, and host is empty where it is the service's own."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    host: str = ""

    @property
    def target(self) -> str:
        """What is asked for, without the query, in which a blob's address carries its signature."""
        return f"https://{self.host}{self.path}" if self.host else self.path

    def json(self) -> Any:
        """Raises RefusalError for what isn't JSON, such as the bare NaN that the client sends for a NaN."""
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except ValueError as error:
            raise RefusalError(400, "BadArgument", f"the body isn't valid JSON: {error}") from error


def call_of(method: str, url: str, headers: Mapping[str, str], body: bytes, host: str) -> Call:
    parts = urlsplit(url)
    lowered = {name.lower(): value for name, value in headers.items()}
    path = parts.path if not parts.netloc else url  # a request that was meant for another host's proxy
    return Call(method, path, dict(parse_qsl(parts.query, keep_blank_values=True)), lowered, body, host)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON value")
