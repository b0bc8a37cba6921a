"""A diagnosis as text: aligned, wrapped, the verdict last."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lightning_app.diagnosis.contradiction import Contradiction
from lightning_app.diagnosis.place import Row

_WIDTH = 110
_NAME_WIDTH = 14


@dataclass(frozen=True)
class Section:
    title: str
    rows: Sequence[Row]


def text_of(sections: Sequence[Section], found: Sequence[Contradiction]) -> str:
    """Sections without rows are left out."""
    lines = [line for section in sections if section.rows for line in _section(section)]
    return "\n".join([*lines, *_contradictions(found), "", verdict(found)])


def verdict(found: Sequence[Contradiction]) -> str:
    fatal = sum(each.fatal for each in found)
    if fatal:
        return f"Training refuses to start: {_counted(fatal, 'contradiction')}."
    strays = f" in spite of {_counted(len(found), 'stray')}" if found else ""
    return f"In order{strays}: training starts."


def _section(section: Section) -> Iterator[str]:
    yield section.title
    for name, value in section.rows:
        yield from _wrapped(f"  {name:<{_NAME_WIDTH}} ", value)


def _contradictions(found: Sequence[Contradiction]) -> Iterator[str]:
    if found:
        yield "Contradictions"
    for each in found:
        yield from _wrapped(f"  {'refused' if each.fatal else 'ignored':<{_NAME_WIDTH}} ", each.what)
        yield from _wrapped(f"  {'':<{_NAME_WIDTH}} -> ", each.remedy)


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
