"""``--resume PATH`` and ``--resume RUN_ID``: a run that begins with the checkpoint of another one."""

import atexit
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_app.azureml import job
from lightning_app.azureml.run_files import RunFiles, RunFilesError
from lightning_app.checkpointing.candidates import attempts, candidates, choose
from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.checkpointing.checkpoint_shape import require_resumable
from lightning_app.checkpointing.resume_plan import ResumePlan, plan_from
from lightning_app.checkpointing.service_checkpoints import ServiceCheckpoints, staging_folder
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder

log = logging.getLogger(__name__)

_RUN_ID = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


def start_from(
    folder: RunFolder, resume: str, config: Mapping[str, Any], prepare_folder: Callable[[], None]
) -> ResumePlan:
    """The plan that begins with another checkpoint.

    What exists under the given name is that; otherwise a name without slashes that doesn't end in ``.ckpt`` is the id
    of a run.

    Args:
        folder: The run folder.
        resume: A checkpoint, a run folder or the id of a run of Azure ML.
        config: The settings.
        prepare_folder: Makes the run folder, before something is downloaded to it.

    Raises:
        UsageError: There is no such thing, or it can't be used.
    """
    path = Path(resume)
    if path.is_file():
        content = _read(path)
        shown = str(path)
    elif path.is_dir():
        path, content = _newest_in(path)
        shown = str(path)
    elif _RUN_ID.fullmatch(resume) and not resume.endswith(".ckpt"):
        path, content, shown = _newest_of_run(folder, resume, prepare_folder)
    else:
        raise UsageError(
            f"--resume {resume!r}: no such file or folder; expected auto, never, a checkpoint, a run folder or the id "
            "of a run"
        )
    plan = plan_from(path, content, config, archive_previous=_holds_another_run(folder, resume))
    return replace(plan, origin=shown)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = read_checkpoint(path)
        require_resumable(path, content)
    except UsageError as error:
        raise UsageError(f"--resume: {error}") from error
    return content


def _newest_in(root: Path) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint of a run folder, or of ``outputs`` in it. Nothing there is renamed."""
    folders = [RunFolder(root), RunFolder(root / "outputs")]
    choice = choose(next(filter(None, (candidates(folder, *attempts(folder)) for folder in folders)), []))
    if choice.candidate is None and choice.rejected:
        newest = choice.rejected[0]
        raise UsageError(
            f"--resume: checkpoint {str(newest.path)!r}: {newest.problem}; {str(root)!r} has no other one that can be "
            "used"
        )
    if choice.candidate is None:
        looked = " and no ".join(repr(str(folder.last.relative_to(root))) for folder in folders)
        raise UsageError(f"--resume {str(root)!r}: no {looked} in this folder, nor an earlier one of that run")
    for each in choice.rejected:
        log.warning("%s: %s; %s is used in its place.", each.path, each.problem, choice.candidate.path)
    return choice.candidate.path, choice.content


def _newest_of_run(
    folder: RunFolder, run_id: str, prepare_folder: Callable[[], None]
) -> tuple[Path, dict[str, Any], str]:
    """The newest checkpoint of a run, downloaded; it is removed when this process ends."""
    given = f"--resume {run_id!r}: no such file or folder here"
    if not RunFiles.is_workspace_known():
        raise UsageError(
            f"{given}; expected auto, never, a checkpoint, a run folder, or the id of a run, for which the config.json "
            "of its workspace must be in this folder or above it"
        )
    try:
        with RunFiles(run_id) as files:
            found = ServiceCheckpoints(files, staging_folder(folder))
            if not found:
                raise UsageError(f"{given}, and the run of this id has no 'checkpoints/last.ckpt' or other checkpoint")
            prepare_folder()
            atexit.register(found.remove_downloaded)
            choice = found.newest()
    except RunFilesError as error:
        workspace = "this job's workspace" if job.run_id() else "the workspace of config.json"
        problem = "no such run" if error.is_missing else str(error)
        raise UsageError(
            f"{given}, and no run of this id could be read from {workspace} ({problem}); python -m submit list shows "
            "its runs"
        ) from error
    if choice.candidate is None:
        raise UsageError(f"{given}, and none of the checkpoints of run {run_id} can be used")
    return choice.candidate.path, choice.content, found.shown(choice.candidate.path)


def _holds_another_run(folder: RunFolder, resume: str) -> bool:
    """Whether the folder holds a run to which the checkpoint doesn't belong."""
    path = Path(resume).resolve()
    return folder.holds_a_run() and folder.root.resolve() not in (path, *path.parents)
