"""Which journal a ``metrics.jsonl`` is: it distinguishes its rows from those of every other one."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lightning_app.run_folder import RunFolder


@dataclass(frozen=True)
class JournalIdentity:
    """Kept beside the journal, in ``.journal.json``.

    In a job it is made of the run, the folder and a number, which is higher after an earlier journal was moved away. So
    a job that starts again on an empty disk gives the same rows the same identity, and a new training gives others.

    Args:
        id: The journal's own name, ``PLACE#GENERATION``.
        generation: From 1.
        run: The Azure ML run in which it was begun; None outside a job.
        first_row: The number of the first row in the file: more than 0 in a run that was continued on another disk.
        folder: The run folder, as the job sees it.
        first_folder: The folder of this run that was opened first, whose metrics have plain names at the service.
    """

    id: str
    generation: int
    run: str | None
    first_row: int
    folder: str
    first_folder: str


def read_identity(folder: RunFolder) -> JournalIdentity | None:
    """The identity of the folder's journal; None if it has none, as those of earlier releases."""
    try:
        return JournalIdentity(**json.loads(folder.journal_identity.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def begin_identity(
    folder: RunFolder, run: str | None, first_folder: str | None = None, known: JournalIdentity | None = None
) -> JournalIdentity:
    """Gives the folder's journal an identity and creates its file, so that a missing file means that it was deleted.

    It is another one than those of earlier journals of the folder, among them ``known``, which may be deleted.
    """
    earlier = [*_archived(folder), *filter(None, [read_identity(folder), known])]
    generation = 1 + max((identity.generation for identity in earlier), default=0)
    label = folder_label(folder)
    place = f"{run}/{label}" if run else uuid.uuid4().hex
    folder.journal.touch()
    return save_identity(
        folder, JournalIdentity(f"{place}#{generation}", generation, run, 0, label, first_folder or label)
    )


def require_identity(
    folder: RunFolder, run: str | None, first_folder: str | None = None, known: JournalIdentity | None = None
) -> JournalIdentity:
    """The identity of the folder's journal, which gets one if it has none, see ``begin_identity``."""
    identity = read_identity(folder)
    if identity is None or not folder.journal.exists():
        return begin_identity(folder, run, first_folder, known)
    return identity


def continue_identity(folder: RunFolder, identity: JournalIdentity, positions: Mapping[str, int]) -> JournalIdentity:
    """The identity of an empty journal that continues one of the same run and folder, which was lost with its disk.

    ``positions`` are the next rows of journals by their identity. One that was only moved away isn't continued.
    """
    moved = {found.id for found in _archived(folder)}
    lost = [name for name in positions if _place(name) == _place(identity.id) and name not in moved]
    if not lost:
        return identity
    generation = int(lost[-1].rpartition("#")[2])
    return save_identity(folder, replace(identity, id=lost[-1], generation=generation, first_row=positions[lost[-1]]))


def recovered_identity(run: str | None, label: str, positions: Mapping[str, int]) -> JournalIdentity | None:
    """The identity of a journal that has come back from a lost disk without its file; None if it isn't known.

    Args:
        run: The Azure ML run of this job; None outside a job.
        label: The run folder, see ``folder_label``.
        positions: Of the checkpoint that has come back with the journal.
    """
    known = [name for name in positions if run and _place(name) == f"{run}/{label}"]
    number = known[-1].rpartition("#")[2] if known else ""
    return JournalIdentity(known[-1], int(number), run, 0, label, label) if number.isdecimal() else None


def save_identity(folder: RunFolder, identity: JournalIdentity) -> JournalIdentity:
    """Writes the identity; returns it."""
    unfinished = folder.journal_identity.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(json.dumps(asdict(identity)) + "\n")
    unfinished.replace(folder.journal_identity)
    return identity


def folder_label(folder: RunFolder) -> str:
    """The folder as a job sees it, the same on each node: relative to the working directory where it is in there."""
    root, here = folder.root.resolve(), Path.cwd()
    return root.relative_to(here).as_posix() if root.is_relative_to(here) else root.as_posix()


def _archived(folder: RunFolder) -> Iterator[JournalIdentity]:
    for path in sorted(folder.previous.glob("*")):
        identity = read_identity(RunFolder(path))
        if identity is not None:
            yield identity


def _place(journal: str) -> str:
    return journal.rpartition("#")[0]
