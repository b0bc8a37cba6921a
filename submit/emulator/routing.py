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

    ``comp`` is the part of a blob that the query says the request is about.
    """

    method: str
    path: str
    handler: Handler
    comp: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        several = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.*)", self.path)
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", several))

    def parameters(self, call: Request) -> dict[str, str] | None:
        """What the call has in the places of the names; None if it is no call of this route."""
        if (call.method, call.query.get("comp", "")) != (self.method, self.comp):
            return None
        found = self.pattern.fullmatch(call.path)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}
