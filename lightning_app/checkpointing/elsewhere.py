"""Where else than in its run folder a run may have left checkpoints, and whether they are this run's."""

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from lightning_app.azureml import job
from lightning_app.azureml.journal_identity import folder_label
from lightning_app.azureml.run_files import RunFilesError, close_unused, files_of_this_run
from lightning_app.checkpointing.candidates import Candidate, Choice, attempts, candidates
from lightning_app.checkpointing.checkpoint_dir import FLAG
from lightning_app.checkpointing.run_lock import RunLock
from lightning_app.checkpointing.run_settings import differences, is_generated, read_settings
from lightning_app.checkpointing.service_checkpoints import ServiceCheckpoints, folders_like, staging_folder
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder

log = logging.getLogger(__name__)

_KEPT_BY_SERVICE = "outputs"  # of a job's disk


class Elsewhere:
    """The folders of a job's other attempts, ``--checkpoint_dir``, and the files that Azure ML keeps of this job's run.

    A folder counts only if its ``config.yaml`` has the settings of this run. Use it as a context manager: at the end it
    removes what it has downloaded.

    Args:
        folder: The run folder.
        config: The settings.
        resume: ``--resume``: where it names a checkpoint, a run counts that was started with the same one.
        checkpoint_dir: A second folder with the run's checkpoints.
        lock: Of the run folder; acquired before something is written to it.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: Mapping[str, Any],
        resume: str = "auto",
        checkpoint_dir: RunFolder | None = None,
        lock: RunLock | None = None,
    ) -> None:
        self._folder, self._config, self._resume, self._lock = folder, config, resume, lock
        self._checkpoint_dir = checkpoint_dir
        self._found: list[RunFolder] | None = None
        self._service: ServiceCheckpoints | None = None
        self._at_service: Choice | None = None
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> "Elsewhere":
        self._exit.callback(close_unused)
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def folders(self) -> list[RunFolder]:
        """Those on this machine's disks that hold checkpoints of this run.

        Raises:
            UsageError: ``--checkpoint_dir`` holds those of another run.
        """
        if self._found is None:
            named = [] if self._checkpoint_dir is None else [self._checkpoint_dir]
            places = [each for each in [*attempts(self._folder), *named] if not self._is_own(each) and candidates(each)]
            self._found = [each for each in places if self._is_this_run(each)]
        return self._found

    def holds_this_run(self) -> bool:
        """Whether any of these places has a checkpoint of this run."""
        return bool(self.folders()) or self.at_service().candidate is not None

    def at_service(self) -> Choice:
        """The newest checkpoint that Azure ML keeps of this job's run, downloaded; asked for once.

        A service that fails costs a line, and a bounded time.
        """
        if self._at_service is None:
            label = folder_label(self._folder)
            is_kept = job.run_id() is not None and label.partition("/")[0] == _KEPT_BY_SERVICE
            self._at_service = self._download(label) if is_kept else Choice(None, {})
        return self._at_service

    def prepare_folder(self) -> None:
        """Makes the run folder, for this process alone."""
        self._folder.root.mkdir(parents=True, exist_ok=True)
        if self._lock is not None:
            self._lock.acquire()

    def is_downloaded(self, candidate: Candidate) -> bool:
        return self._at_service is not None and candidate == self._at_service.candidate

    def shown(self, candidate: Candidate) -> str:
        """The checkpoint, for a message."""
        is_downloaded = self._service is not None and self.is_downloaded(candidate)
        return self._service.shown(candidate.path) if self._service and is_downloaded else str(candidate.path)

    def _download(self, label: str) -> Choice:
        files = self._exit.enter_context(files_of_this_run())
        try:
            self._service = ServiceCheckpoints(files, staging_folder(self._folder), folders_like(label))
            if not self._service:
                return Choice(None, {})
            self.prepare_folder()
            self._exit.callback(self._service.remove_downloaded)
            choice = self._service.newest(self._is_this_run)
        except RunFilesError as error:
            log.warning("Azure ML: the files of run %s can't be read (%s), so none is used.", files.run_id, error)
            return Choice(None, {})
        if choice.candidate is not None:
            try:
                self._service.complete(choice.candidate)
            except RunFilesError as error:
                log.warning("Azure ML: not all files of run %s can be read (%s).", files.run_id, error)
        return choice

    def _is_own(self, place: RunFolder) -> bool:
        return place.root.resolve() == self._folder.root.resolve()

    def _is_this_run(self, place: RunFolder) -> bool:
        try:
            settings = read_settings(place)
        except UsageError as error:
            if place == self._checkpoint_dir:  # it would be written over
                raise
            log.warning("%s: its checkpoints aren't used.", str(error).partition(";")[0])
            return False
        changed = differences(settings, self._config) if settings else "it has no config.yaml"
        if settings and not changed and is_generated(settings) != is_generated(self._config):
            changed = "generated images against real ones"
        if changed and place == self._checkpoint_dir:
            raise UsageError(
                f"{FLAG} {str(place.root)!r}: holds the checkpoints of another run ({changed}); give another "
                "folder, or --resume never to move them to its folder previous"
            )
        return not changed and (self._resume == "auto" or settings.get("resume") == self._resume)
