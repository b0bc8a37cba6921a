"""Findings of checks: errors and warnings."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from submit.errors import PreflightError


@dataclass(frozen=True)
class Finding:
    """One line: what was given, what was expected, what to do. With an error nothing may be sent."""

    level: Literal["error", "note", "warning"]
    text: str

    def __post_init__(self) -> None:
        if len(self.text.splitlines()) != 1:
            raise ValueError(f"a finding is one line, not {self.text!r}")


def error(text: str) -> Finding:
    return Finding("error", text)


def warning(text: str) -> Finding:
    return Finding("warning", text)


def note(text: str) -> Finding:
    """Something that was decided for the user, and that is as it should be."""
    return Finding("note", text)


def report_findings(findings: Iterable[Finding]) -> None:
    """Prints warnings and notes.

    Raises:
        PreflightError: There are errors; it has a line for each one.
    """
    errors = []
    for finding in list(findings):  # all checks run before anything is printed
        if finding.level != "error":
            print(f"{finding.level}: {finding.text}", file=sys.stderr)
        else:
            errors.append(finding.text)
    if errors:
        raise PreflightError(errors)


def format_names(names: Iterable[str], most: int = 3) -> str:
    """``'a', 'b', 'c' and 4 more``"""
    quoted = [repr(name) for name in names]
    rest = len(quoted) - most
    return ", ".join(quoted[:most]) + (f" and {rest} more" if rest > 0 else "")
