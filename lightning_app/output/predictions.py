"""The table of ``predict``: where it is, and how it is written."""

import csv
import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder, run_of

JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True)
class Predictions:
    """What the rows of a table are made of.

    Args:
        folder: The paths in the table are relative to it.
        paths: The images, in the order of the rows.
        classes: The names of the labels.
        unreadable: Files that have no label, with the reason, at the end of the table; None if it has no such column.
    """

    folder: Path
    paths: Sequence[Path]
    classes: Sequence[str]
    unreadable: Mapping[Path, str] | None = None

    def write(self, target: Path, parts: Iterable[Sequence[Tensor]]) -> int:
        """Writes the table and returns how many images have a label.

        As JSON lines if the name of the file says so, otherwise as CSV: ``file,label,probability``, then ``label_2``,
        ``probability_2`` and so on, and ``error``.

        Args:
            target: The file; it is written under another name and renamed when it is complete.
            parts: Results of ``predict_step`` in any order: indices into ``paths`` (N,), labels and probabilities,
                each (N,) or, the most probable first, (N, K).
        """
        by_index = sorted(row for part in parts for row in zip(*(_as_rows(column) for column in part), strict=True))
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.tmp")
        # a file's name may be any bytes; they are written as they are
        with unfinished.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            if target.suffix.lower() in JSON_LINES:
                file.writelines(f"{json.dumps(row)}\n" for row in self._objects(by_index))
            else:
                csv.writer(file).writerows(self._cells(by_index))
        unfinished.replace(target)
        return len(by_index)

    def _cells(self, rows: Sequence[tuple[list[int], list[int], list[float]]]) -> Iterator[list[str]]:
        count = max((len(labels) for _, labels, _ in rows), default=1)
        numbers = ["", *(f"_{number}" for number in range(2, count + 1))]
        with_error = self.unreadable is not None
        yield ["file", *(f"{name}{n}" for n in numbers for name in ("label", "probability")), *["error"] * with_error]
        for (index,), labels, shares in rows:
            best = [
                text for pair in zip(labels, shares, strict=True) for text in (self.classes[pair[0]], f"{pair[1]:.4f}")
            ]
            yield [self._name(self.paths[index]), *best, *[""] * with_error]
        for path, reason in sorted((self.unreadable or {}).items()):
            yield [self._name(path), *[""] * 2 * count, reason]

    def _objects(self, rows: Sequence[tuple[list[int], list[int], list[float]]]) -> Iterator[dict[str, Any]]:
        for (index,), labels, shares in rows:
            best = [
                {"label": self.classes[label], "probability": round(share, 6)}
                for label, share in zip(labels, shares, strict=True)
            ]
            yield {"file": self._name(self.paths[index]), **best[0], **({"labels": best} if len(best) > 1 else {})}
        for path, reason in sorted((self.unreadable or {}).items()):
            yield {"file": self._name(path), "error": reason}

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))


def _as_rows(column: Tensor) -> list[list[Any]]:
    rows: list[list[Any]] = column.reshape(len(column), -1).tolist()
    return rows


def predictions_file(checkpoint: Path, folder: RunFolder, *, folder_is_given: bool, checkpoint_is_given: bool) -> Path:
    """The file where ``--csv`` gives none: in the run folder of the checkpoint, or in that of ``--output_dir``.

    Args:
        checkpoint: The checkpoint that labels the images.
        folder: The folder of ``--output_dir``, or the default one.
        folder_is_given: Whether ``--output_dir`` has given the folder.
        checkpoint_is_given: Whether ``--ckpt_path`` has given the checkpoint; otherwise it is one of ``folder``.

    Raises:
        UsageError: The file exists and may hold the predictions of another run.
    """
    if not checkpoint_is_given:
        return folder.predictions
    own = run_of(checkpoint)
    if not folder_is_given:
        folder = own or RunFolder(Path())
    if own is None or folder.root.resolve() != own.root.resolve():
        _require_none(folder.predictions, checkpoint)
    return folder.predictions


def require_writable(file: Path, flag: str) -> None:
    """Raises UsageError if the file can't be written; leaves nothing behind."""
    existing = file.parent
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    code = errno.ENOTDIR if not existing.is_dir() else 0 if os.access(existing, os.W_OK | os.X_OK) else errno.EACCES
    if code := errno.EISDIR if file.is_dir() else code:
        raise UsageError(f"{flag} {str(file)!r}: can't be written ({os.strerror(code)}); give another file by --csv")


def _require_none(file: Path, checkpoint: Path) -> None:
    if file.exists():
        raise UsageError(
            f"{str(file)!r} exists, and may be of another network than {str(checkpoint)!r}; give another file by --csv"
        )
