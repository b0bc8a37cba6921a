"""Brings the files that a resume needs into the run folder, from the folder where another attempt has left them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_app.azureml import job
from lightning_app.azureml.journal import count_lines
from lightning_app.azureml.journal_identity import folder_label, read_identity, recovered_identity, save_identity
from lightning_app.azureml.journal_position import positions_in
from lightning_app.checkpointing.candidates import Candidate, candidates
from lightning_app.checkpointing.copied_files import copy_checkpoint, copy_file
from lightning_app.checkpointing.sidecar import sidecar_path
from lightning_app.console import format_count
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder

log = logging.getLogger(__name__)


def bring_back(
    found: Candidate, content: Mapping[str, Any], folder: RunFolder, shown: str, *, move: bool = False
) -> None:
    """Copies a checkpoint as ``last.ckpt``, and the best one, the settings and what was logged beside it.

    The checkpoint comes last: where this is interrupted, the next start finds the same one again.

    Args:
        found: The checkpoint, in another run folder.
        content: What it holds.
        folder: The run folder, which has no newer one.
        shown: Where it was found, for the message.
        move: Whether the other run folder is removed afterwards, so that its checkpoints need no copy.

    Raises:
        UsageError: The files can't be written.
    """
    try:
        folder.last.parent.mkdir(parents=True, exist_ok=True)
        _bring_logged(found.folder, content, folder)
        for path in (found.folder.config, found.folder.best_metrics):
            copy_file(path, folder.root / path.relative_to(found.folder.root))
        if found.folder.best.is_file():
            # the best one may be the chosen one as well
            _bring_checkpoint(found.folder.best, folder.best, move=move and found.path != found.folder.best)
        _keep_former(folder)
        _bring_checkpoint(found.path, folder.last, move=move)
    except OSError as error:
        raise UsageError(
            f"--output_dir {str(folder.root)!r}: the files of {shown} can't be written here ({error.strerror}); free "
            "some space, or give another folder"
        ) from error
    steps = format_count(content["global_step"], "step")
    log.info("%s: this run's newest checkpoint, after %s, was brought to %s.", shown, steps, folder.root)


def _bring_logged(source: RunFolder, content: Mapping[str, Any], folder: RunFolder) -> None:
    """The journal, hyperparameters and charts, unless the folder has the same journal with as many rows."""
    identity = read_identity(source) or recovered_identity(
        job.run_id(), folder_label(folder), positions_in(content) or {}
    )
    own = read_identity(folder)
    if folder.journal.exists() and own is not None and identity is not None and own.id == identity.id:
        if count_lines(folder.journal) >= count_lines(source.journal):
            return
    elif folder.journal.exists() and count_lines(folder.journal):
        log.info("%s: what was logged here before was moved to %s", folder.root, folder.archive_logged())
    if not source.journal.exists():
        return
    # a copied delivery log may be older or newer than the journal: a new one asks Azure ML which values it has
    folder.delivery_log.unlink(missing_ok=True)
    for path in (source.hyperparameters, source.mlflow_run, source.journal):
        copy_file(path, folder.root / path.name)
    if identity is not None:
        save_identity(folder, identity)
    for chart in sorted(source.charts.glob("*")) if source.charts.is_dir() else ():
        if not chart.name.startswith("."):
            copy_file(chart, folder.charts / chart.name)


def _keep_former(folder: RunFolder) -> None:
    """An older last checkpoint of the folder becomes an earlier one."""
    former = next((each for each in candidates(folder) if each.path == folder.last), None)
    if former is not None:
        target = folder.earlier(former.step)
        if sidecar_path(folder.last).exists():
            sidecar_path(folder.last).replace(sidecar_path(target))
        folder.last.replace(target)


def _bring_checkpoint(source: Path, target: Path, *, move: bool) -> None:
    if not move:
        copy_checkpoint(source, target)
        return
    sidecar_path(target).unlink(missing_ok=True)
    source.replace(target)
    copy_file(sidecar_path(source), sidecar_path(target))
