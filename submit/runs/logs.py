"""What a run's processes have printed."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from submit.errors import SubmitError
from submit.runs import artifacts

if TYPE_CHECKING:
    from azureml.core import Run

FOLDERS = ("user_logs/", "system_logs/", "azureml-logs/", "logs/")
_PIECE = 4 * 2**20
# of rank 0, by what Azure ML has called it over the years; with many ranks their numbers have leading zeros
_FIRST = (r"user_logs/std_log_process_0+\.txt", r"user_logs/std_log\.txt", r"azureml-logs/70_driver_log(_0+)?\.txt")
_ANY = (r"user_logs/std_log.*\.txt", r"azureml-logs/.*\.txt")


def log_names(run: "Run") -> Sequence[str]:
    return [path for path in artifacts.paths(run) if path.startswith(FOLDERS)]


def default_log(names: Iterable[str]) -> str | None:
    """The log of rank 0, or else of the first rank that has one."""
    names = sorted(names)
    return next((name for pattern in (*_FIRST, *_ANY) for name in names if re.fullmatch(pattern, name)), None)


def named_log(names: Sequence[str], asked: str) -> str:
    """A log by its whole name, or by its last part.

    Raises:
        SubmitError: There is none, or several.
    """
    found = [name for name in names if asked in (name, PurePosixPath(name).name)]
    if len(found) != 1:
        raise SubmitError(f"--file {asked!r}: expected one of {', '.join(names) or 'none: the run has no log yet'}")
    return found[0]


class LogReader:
    """Reads a log that grows, from where it was the last time; a read that fails changes nothing.

    Args:
        run: The run.
        name: The log; None for rank 0's as soon as there is one.
    """

    def __init__(self, run: "Run", name: str | None = None) -> None:
        self._run = run
        self._artifact: artifacts.Artifact | None = None
        self._position = 0
        self._unfinished = b""
        self.name = name

    def piece(self) -> list[str] | None:
        """The lines that are complete with what comes next; None where nothing has come."""
        found = self._read()
        if not found:
            return None
        self._position += len(found)
        *lines, self._unfinished = (self._unfinished + found).split(b"\n")
        return [_text(line) for line in lines]

    def rest(self) -> list[str]:
        """The last line, if the log has ended without ending it."""
        unfinished, self._unfinished = self._unfinished, b""
        return [_text(unfinished)] if unfinished else []

    def _read(self) -> bytes:
        self.name = self.name or default_log(log_names(self._run))
        if self.name is None:
            return b""
        self._artifact = self._artifact or artifacts.Artifact(self._run, self.name)
        return self._artifact.ask(lambda blob: blob.read(self._position, _PIECE))


def _text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\r")
