"""``metrics.jsonl``, the journal: one JSON object per logged row, appended before anything is sent anywhere."""

import datetime
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_app.azureml.journal_identity import JournalIdentity, continue_identity, require_identity
from lightning_app.azureml.json_lines import JsonLines, complete_last_line, parse_line
from lightning_app.azureml.plain_values import NOT_FINITE, to_json_number
from lightning_app.azureml.repetitions import Repetitions
from lightning_app.run_folder import RunFolder

_MOST_LOST_ROWS = 1_000_000  # more than any copy lacks; a damaged checkpoint may say any number


class Journal:
    """Appends rows such as ``{"step": 2000, "epoch": 0, "metrics": {"train_loss": 2.19}, "time": "2026-..."}``.

    Each row that is logged is appended, whatever its step. Only a run that continues from a checkpoint repeats rows
    that it has written before; these aren't written again, see ``continue_from``. A row is written completely or not at
    all, and it is in the file when ``append`` returns, even if the process dies then. Numbers that JSON can't hold are
    the strings "NaN", "Infinity" and "-Infinity". ``time`` is UTC.

    Args:
        folder: The run folder.
        run: The Azure ML run of this job; None outside a job.
        first_folder: The folder that this run opened first; this one if None.
    """

    def __init__(self, folder: RunFolder, run: str | None = None, first_folder: str | None = None) -> None:
        self._folder, self._run, self._first_folder = RunFolder(folder.root.absolute()), run, first_folder
        self._lines = JsonLines(folder.journal)
        self._lock = threading.Lock()
        self._identity, self._repetitions = self._load(None)

    @property
    def identity(self) -> JournalIdentity:
        with self._lock:
            self._follow_file()
            return self._identity

    @property
    def position(self) -> int:
        """The number of the next row, counted from the beginning of the run; of a repeated one while rows repeat."""
        first_row = self.identity.first_row
        with self._lock:
            repeated = self._repetitions.next_line
            return first_row + (self._count() if repeated is None else repeated)

    def append(self, step: int, epoch: int | None, metrics: Mapping[str, float]) -> bool:
        """Writes a row; returns False for a repetition, which isn't written."""
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        values = {name: to_json_number(value) for name, value in metrics.items()}
        row = {"step": step} | ({} if epoch is None else {"epoch": epoch}) | {"metrics": values, "time": now}
        with self._lock:
            self._follow_file()
            if self._repetitions.take(step, epoch, metrics):
                return False
            self._lines.append(row)
            self._last_steps.update(dict.fromkeys(metrics, step))
        return True

    def next_step(self, names: Iterable[str]) -> int:
        """One more than the last step of these metrics, for callers that don't count steps."""
        return 1 + max((self._last_steps.get(name, -1) for name in names), default=-1)

    def continue_from(self, row: int) -> None:
        """The run continues from where ``row`` was the next one: the later ones may come again."""
        with self._lock:
            self._follow_file()
            first = row - self._identity.first_row
            rows = numbered_rows(self._folder.journal)
            self._repetitions = Repetitions((line, found) for line, found in rows if line >= first)

    def continue_after_step(self, step: int) -> None:
        """As ``continue_from``, for a checkpoint that doesn't know the row: those of later steps may come again."""
        with self._lock:
            self._follow_file()
            rows = numbered_rows(self._folder.journal)
            self._repetitions = Repetitions((line, row) for line, row in rows if row["step"] > step)

    def continue_at(self, positions: Mapping[str, int]) -> None:
        """As ``continue_from``, at the position of this journal; at none of them nothing is a repetition.

        An empty journal continues that of the same run and folder, which was lost with its disk. One that is older than
        the checkpoint, such as a copy, gets empty rows for those that it lacks: later rows must not have their numbers.
        """
        identity = self.identity
        if not self._count():
            self._identity = continue_identity(self._folder, identity, positions)
        elif identity.id in positions:
            with self._lock:
                for _ in range(min(positions[identity.id] - identity.first_row - self._count(), _MOST_LOST_ROWS)):
                    self._lines.append({"step": max(self._last_steps.values(), default=0), "metrics": {}})
            self.continue_from(positions[identity.id])

    def _follow_file(self) -> None:
        """Begins another journal where the file was moved or deleted, alone or with its folder."""
        if self._lines.was_replaced():
            self._identity, self._repetitions = self._load(self._identity)

    def _load(self, known: JournalIdentity | None) -> tuple[JournalIdentity, Repetitions]:
        self._lines.close()
        self._folder.root.mkdir(parents=True, exist_ok=True)
        complete_last_line(self._folder.journal)
        identity = require_identity(self._folder, self._run, self._first_folder, known)
        self._lines.open()
        self._counted = 0, 0  # bytes and complete lines
        self._last_steps: dict[str, int] = {}
        self.foreign_lines: list[tuple[int, bytes]] = []
        for number, line, row in _lines(self._folder.journal):
            if row is None:
                self.foreign_lines.append((number, line))
            else:
                self._last_steps.update(dict.fromkeys(row["metrics"], row["step"]))
        return identity, Repetitions()

    def _count(self) -> int:
        """Reads only what has been appended since the last call: each checkpoint asks for it."""
        end, lines = self._counted
        try:
            with self._folder.journal.open("rb") as file:
                if file.seek(0, os.SEEK_END) < end:  # it was written anew in place
                    end, lines = 0, 0
                file.seek(end)
                added = file.read()
        except FileNotFoundError:
            return 0
        self._counted = end + added.rfind(b"\n") + 1, lines + added.count(b"\n")
        return self._counted[1]


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a journal in the order in which they were written; lines that are none are left out."""
    return (row for _, row in numbered_rows(path))


def numbered_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows, each with the number of its line, counted from 0."""
    return ((number, row) for number, _, row in _lines(path) if row is not None)


def parse_row(line: bytes) -> dict[str, Any] | None:
    """The row of a complete line; None if it is none."""
    row = parse_line(line)
    if row is None or not _is_whole(row.get("step")) or not isinstance(row.get("metrics"), dict):
        return None
    if not (row.get("epoch") is None or _is_whole(row["epoch"])):
        return None
    return row if all(_is_value(value) for value in row["metrics"].values()) else None


def count_lines(path: Path) -> int:
    """The number of complete lines; 0 if there is no file."""
    try:
        with path.open("rb") as file:
            return sum(line.endswith(b"\n") for line in file)
    except FileNotFoundError:
        return 0


def describe_foreign_lines(path: Path, found: Sequence[tuple[int, bytes]]) -> str:
    """One line about lines that are no rows, given with their numbers, counted from 0; at least one."""
    number, line = found[0]
    others = f" and {len(found) - 1} other{'s' * (len(found) > 2)}" if len(found) > 1 else ""
    return (
        f"{path}: line {number + 1}{others}: found {line.decode(errors='replace').strip()!r:.60}, expected a row such "
        'as {"step": 1, "metrics": {"loss": 0.5}}; it is skipped and may stay where it is, all rows are used.'
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes, dict[str, Any] | None]]:
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if line.endswith(b"\n"):
                yield number, line, parse_row(line)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_value(value: Any) -> bool:
    return isinstance(value, int | float) or value in NOT_FINITE
