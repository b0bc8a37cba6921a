"""A route: a method and a path, and the handler that answers it."""

import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

from submit.emulator.auth import Handler
from submit.emulator.messages import Request


@dataclass(frozen=True)
class Route:
    """A method and a path in which {name} stands for one segment, and {name*} for any number of them.

    ``comp`` is the query's ``comp``, which says what part of a blob the request is about.
    """

    method: str
    path: str
    handler: Handler
    comp: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        several = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.*)", self.path)
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", several))

    def parameters(self, request: Request) -> dict[str, str] | None:
        """The values of the names in the path; None if the request doesn't match this route."""
        if (request.method, request.query.get("comp", "")) != (self.method, self.comp):
            return None
        found = self.pattern.fullmatch(request.path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}
