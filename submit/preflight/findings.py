"""What a check has to say."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line: what was given, what was expected, what to do. After an error nothing may be sent."""

    level: Literal["error", "warning"]
    text: str

    def __post_init__(self) -> None:
        if len(self.text.splitlines()) != 1:
            raise ValueError(f"a finding is one line, not {self.text!r}")


def error(text: str) -> Finding:
    return Finding("error", text)


def warning(text: str) -> Finding:
    return Finding("warning", text)


def listed(names: Iterable[str], most: int = 3) -> str:
    """``'a', 'b', 'c' and 4 more``"""
    quoted = [repr(name) for name in names]
    rest = len(quoted) - most
    return ", ".join(quoted[:most]) + (f" and {rest} more" if rest > 0 else "")
