"""The run folders that this process logs to: one journal and one sender each, however many loggers there are."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from lightning_app.azureml import job
from lightning_app.azureml.destination import Destination, find_destination
from lightning_app.azureml.journal import Journal, count_lines, describe_foreign_lines
from lightning_app.azureml.journal_identity import folder_label, read_identity
from lightning_app.azureml.mlflow.remembered_run import RUNNING, note_status
from lightning_app.azureml.sender_process import SenderProcess
from lightning_app.run_folder import RunFolder

log = logging.getLogger(__name__)


class OpenFolder:
    """The journal of a run folder and, where its rows go to a service, its sender.

    It stays the same folder when the program changes its working directory.

    Args:
        folder: The run folder, which is created.
        priority: See ``AzureMLRunLogger``.
        first_folder: The folder that this process opened first; None if it is this one.
    """

    def __init__(self, folder: RunFolder, priority: Sequence[str], first_folder: str | None) -> None:
        folder.root.mkdir(parents=True, exist_ok=True)
        self.destination = destination = find_destination()
        run = destination.run_id if destination else None
        if run is not None:
            _archive_other_run(folder, run)
        self.folder = RunFolder(folder.root.absolute())
        self.label = folder_label(folder)
        self.journal = Journal(folder, run, first_folder)
        self.sender: SenderProcess | None = None
        self.users: set[int] = set()
        if destination is not None and destination.obstacle is None:
            log.info("%s", destination.describe())
            self.note_status(RUNNING)
            self.sender = SenderProcess(folder, priority)
            self.sender.ensure_running()
            return
        if self.journal.foreign_lines:  # the sender has a line about them
            log.warning("%s", describe_foreign_lines(folder.journal, self.journal.foreign_lines))
        if destination is not None:
            log.warning("%s", _undeliverable(destination, folder))
        elif missing := job.partly_missing():
            log.warning(
                "Not an Azure ML job: %s not set, which azureml-core needs; metrics are only in %s.",
                ", ".join(missing),
                folder.journal,
            )

    def note_status(self, status: str) -> None:
        """How the training stands, for a run that is created for this folder."""
        if self.destination is not None and self.destination.creates_runs:
            note_status(self.folder, status)


def _undeliverable(destination: Destination, folder: RunFolder) -> str:
    text = f"{destination.service}: {destination.obstacle}; metrics are only in {folder.journal}"
    return f"{text}, from where python -m lightning_app.deliver {folder.root} delivers them later."


_open: dict[tuple[int, Path], OpenFolder] = {}  # by process: a forked one has to open them anew
_first_label: dict[int, str] = {}  # by process


def open_folder(folder: RunFolder, priority: Sequence[str], user: int) -> OpenFolder:
    """Opens a run folder for a logger, given by a number of its own."""
    key = _key(folder)
    if key not in _open:
        _open[key] = OpenFolder(folder, priority, _first_label.get(os.getpid()))
        _first_label.setdefault(os.getpid(), _open[key].label)
    _open[key].users.add(user)
    return _open[key]


def leave_folder(opened: OpenFolder, user: int) -> bool:
    """Ends a logger's use of a folder; returns whether it was the last one, which closes it."""
    if user not in opened.users or _open.get(_key(opened.folder)) is not opened:
        return False
    opened.users.discard(user)
    if not opened.users:
        del _open[_key(opened.folder)]
    return not opened.users


def _key(folder: RunFolder) -> tuple[int, Path]:
    return os.getpid(), folder.root.resolve()


def _archive_other_run(folder: RunFolder, run: str) -> None:
    """What another run has logged, as a trial whose folder came along with the code, isn't delivered to this one."""
    identity = read_identity(folder)
    if identity is None or identity.run == run:
        return
    if count_lines(folder.journal):
        log.warning("%s: what another run logged was moved to %s", folder.root, folder.archive_logged())
    else:
        folder.journal_identity.unlink()
