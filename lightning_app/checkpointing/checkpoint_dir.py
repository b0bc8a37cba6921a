"""``--checkpoint_dir``: a second folder with what a resume needs, for machines whose disk doesn't come back."""

import logging
from collections.abc import Collection
from pathlib import Path

from lightning_app.checkpointing.copied_files import copy_checkpoint, copy_file, unfinished_copy
from lightning_app.checkpointing.kept_checkpoints import put_last
from lightning_app.checkpointing.sidecar import Sidecar
from lightning_app.console import format_count
from lightning_app.errors import UsageError, one_line
from lightning_app.run_folder import RunFolder, local_folder

log = logging.getLogger(__name__)

FLAG = "--checkpoint_dir"


def given_checkpoint_dir(path: str | None, folder: RunFolder) -> RunFolder | None:
    """The folder of the flag; None if none is given.

    Raises:
        UsageError: It is a URL, the run folder itself, or can't be written.
    """
    if path is None:
        return None
    if not path.strip():
        raise UsageError(f"{FLAG} {path!r}: expected a folder")
    try:
        given = RunFolder(local_folder(path))
    except ValueError as error:
        raise UsageError(f"{FLAG} {path!r}: expected a folder, such as one that is mounted; got a URL") from error
    if given.root.resolve() == folder.root.resolve():
        raise UsageError(
            f"{FLAG} {path!r}: is the --output_dir; expected another folder, which is kept if that is lost"
        )
    given.check_writable(FLAG)
    return given


class CheckpointDir:
    """Copies the run's files to the second folder, which gets the layout of a run folder.

    Args:
        target: The second folder.
        folder: The run folder.
        keep: Number of earlier checkpoints that are kept in it.
    """

    def __init__(self, target: RunFolder, folder: RunFolder, keep: int) -> None:
        self._target, self._folder, self._keep = target, folder, keep
        self._warned = ""

    def copy(self, written: Collection[Path], sidecar: Sidecar) -> None:
        """Copies what was written of ``last.ckpt`` and ``best.ckpt``, and what belongs to it.

        The checkpoint comes last: what it counts, such as the rows of the journal, is there by then. A failure costs a
        line for each new reason: the run folder has everything.

        Args:
            written: Of the run folder.
            sidecar: Of these.
        """
        try:
            self._copy_logged()
            if self._folder.best in written:
                copy_file(self._folder.best_metrics, self._target.best_metrics)  # before it, see Saving.before
                copy_checkpoint(self._folder.best, self._target.best)
            if self._folder.last in written:
                self._target.last.parent.mkdir(parents=True, exist_ok=True)
                put_last(unfinished_copy(self._folder.last, self._target.last), self._target, sidecar, self._keep)
            self._warned = ""
        except OSError as error:
            if self._warned != (reason := error.strerror or one_line(error)):
                self._warned = reason
                steps = format_count(sidecar.step, "step")
                log.warning(
                    "%s %s: the state after %s couldn't be copied (%s); it is in the run folder, and training goes on.",
                    *(FLAG, self._target.root, steps, reason),
                )

    def _copy_logged(self) -> None:
        logged = (self._folder.config, self._folder.hyperparameters, self._folder.journal_identity)
        # what was delivered is counted in rows of the journal, which has to have them
        for path in (*logged, self._folder.mlflow_run, self._folder.delivery_log, self._folder.journal):
            copy_file(path, self._target.root / path.name)
        for chart in sorted(self._folder.charts.glob("*")) if self._folder.charts.is_dir() else ():
            copied = self._target.charts / chart.name
            is_there = copied.exists() and copied.stat().st_size == chart.stat().st_size
            if not chart.name.startswith(".") and not is_there:
                copy_file(chart, copied)
