"""Where else than in its run folder a run may have left checkpoints, and whether they are this run's."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_app.checkpointing.candidates import Candidate, Choice, attempts, candidates
from lightning_app.checkpointing.run_settings import differences, is_generated, read_settings
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder

log = logging.getLogger(__name__)


class Elsewhere:
    """The folders of a job's other attempts, and ``--checkpoint_dir``.

    A folder counts only if its ``config.yaml`` has the settings of this run.

    Args:
        folder: The run folder.
        config: The settings.
        resume: ``--resume``: where it names a checkpoint, a run counts that was started with the same one.
        checkpoint_dir: A second folder with the run's checkpoints.
    """

    def __init__(
        self, folder: RunFolder, config: Mapping[str, Any], resume: str = "auto", checkpoint_dir: str | None = None
    ) -> None:
        self._folder, self._config, self._resume = folder, config, resume
        self._checkpoint_dir = None if checkpoint_dir is None else RunFolder(Path(checkpoint_dir))
        self._found: list[RunFolder] | None = None

    def __enter__(self) -> "Elsewhere":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def folders(self) -> list[RunFolder]:
        """Those on this machine's disks that hold checkpoints of this run."""
        if self._found is None:
            named = [] if self._checkpoint_dir is None else [self._checkpoint_dir]
            places = [each for each in [*attempts(self._folder), *named] if not self._is_own(each) and candidates(each)]
            self._found = [each for each in places if self._is_this_run(each)]
        return self._found

    def holds_this_run(self) -> bool:
        return bool(self.folders())

    def from_service(self) -> Choice:
        return Choice(None, {})

    def shown(self, candidate: Candidate) -> str:
        return str(candidate.path)

    def _is_own(self, place: RunFolder) -> bool:
        return place.root.resolve() == self._folder.root.resolve()

    def _is_this_run(self, place: RunFolder) -> bool:
        try:
            settings = read_settings(place)
        except UsageError as error:
            log.warning("%s: its checkpoints aren't used.", str(error).partition(";")[0])
            return False
        changed = differences(settings, self._config) if settings else "it has no config.yaml"
        if settings and not changed and is_generated(settings) != is_generated(self._config):
            changed = "generated images against real ones"
        if changed and place == self._checkpoint_dir:
            log.warning("--checkpoint_dir %s: holds another run (%s), which isn't used.", place.root, changed)
        return not changed and (self._resume == "auto" or settings.get("resume") == self._resume)
