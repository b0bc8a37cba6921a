"""Folders for preflight, and its findings about them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from submit.preflight.checks import check_folder
from submit.preflight.findings import Finding
from submit.v1.sdk import SDK


def write(folder: Path, *names: str, text: str = "x") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def texts(findings: Iterable[Finding], level: str) -> list[str]:
    return [finding.text for finding in findings if finding.level == level]


def about(folder: Path, word: str, arguments: Sequence[str] = ()) -> list[tuple[str, str]]:
    return [(f.level, f.text) for f in check_folder(folder, SDK, arguments) if word in f.text]
