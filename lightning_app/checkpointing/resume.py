"""``--resume``: whether a run continues from a checkpoint, starts from the beginning, or is finished already."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_app.checkpointing.bring_back import bring_back
from lightning_app.checkpointing.candidates import Choice, candidates, choose, set_aside
from lightning_app.checkpointing.elsewhere import Elsewhere
from lightning_app.checkpointing.kept_checkpoints import complete_sidecars
from lightning_app.checkpointing.resume_plan import ResumePlan, has_test_metrics, plan_from
from lightning_app.checkpointing.run_lock import RunLock
from lightning_app.checkpointing.run_settings import differences, is_generated, read_settings
from lightning_app.checkpointing.service_checkpoints import remove_abandoned
from lightning_app.checkpointing.sidecar import file_hash
from lightning_app.checkpointing.start_from import start_from
from lightning_app.checkpointing.warm_start import began_with
from lightning_app.distributed.detect import detect_launch
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder

log = logging.getLogger(__name__)


def plan_resume(
    folder: RunFolder,
    resume: str,
    config: Mapping[str, Any],
    checkpoint_dir: RunFolder | None = None,
    lock: RunLock | None = None,
) -> ResumePlan:
    """Decides from ``--resume`` and from what the folder and the other places hold.

    Rank 0 decides for all processes: the other nodes may have disks of their own. Other ranks get an empty plan here,
    and rank 0's plan when the processes are connected. What is found elsewhere is brought into the folder here.

    Args:
        folder: The run folder.
        resume: ``auto``, ``never``, a checkpoint, a run folder or the id of a run.
        config: The settings.
        checkpoint_dir: A second folder with the run's checkpoints.
        lock: Of the run folder; acquired before something is brought into it.

    Raises:
        UsageError: ``--resume`` names no checkpoint, the unfinished run in the folder has other settings, or none of
            its checkpoints can be used although they aren't damaged.
    """
    if detect_launch().rank > 0:
        return ResumePlan()
    if resume == "never":
        return ResumePlan(archive_previous=folder.holds_a_run())
    remove_abandoned(folder)
    with Elsewhere(folder, config, resume, checkpoint_dir, lock) as elsewhere:
        if resume == "auto" or _was_started_with(folder, resume) or elsewhere.holds_this_run():
            return _continue(folder, config, elsewhere)
        return start_from(folder, resume, config, elsewhere.prepare_folder)


def _continue(folder: RunFolder, config: Mapping[str, Any], elsewhere: Elsewhere) -> ResumePlan:
    """The run in the folder, or this run as it is found elsewhere, or a fresh one."""
    own, earlier = candidates(folder), read_settings(folder)
    changed = differences(earlier, config) if earlier else ""
    if own and earlier and is_generated(earlier) and not is_generated(config):
        return ResumePlan(archive_previous=True, archived="of generated images")
    if own and earlier and is_generated(config) and not is_generated(earlier):
        changed = "its images were real, now they are generated" + (f", {changed}" if changed else "")
    if own and changed:
        return _give_way(folder, choose(own), earlier, changed)
    choice = choose(candidates(folder, *elsewhere.folders()))
    if choice.candidate is None:
        choice = replace(elsewhere.at_service(), rejected=choice.rejected)
    # a run that stopped before its first checkpoint starts again in place, so that nothing is logged twice
    fresh = ResumePlan(archive_previous=folder.holds_a_run() and (bool(changed) or not earlier))
    if choice.candidate is None:
        return _begin_again(choice, fresh)
    found = choice.candidate
    if other := _other_weights(choice.content, config):
        return _give_way(folder, choice, earlier, other) if found.folder == folder else fresh
    set_aside(choice.rejected, f"{elsewhere.shown(found)} is used in its place")
    if found.folder != folder:
        elsewhere.prepare_folder()
        if fresh.archive_previous:
            log.info("%s: the earlier run was moved to %s", folder.root, folder.archive())
        bring_back(found, choice.content, folder, elsewhere.shown(found), move=elsewhere.is_downloaded(found))
    complete_sidecars(folder)
    path = found.path if found.folder == folder else folder.last
    plan = plan_from(path, choice.content, config, earlier=read_settings(folder))
    return replace(plan, tested=plan.finished and has_test_metrics(folder, plan.steps_done))


def _other_weights(content: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """How ``--init_from`` differs, for a message; empty if the run began with that file or it isn't there any more."""
    given = config.get("init_from")
    began, now = began_with(content), file_hash(Path(given)) if given else ""
    return (
        f"--init_from {given!r} has other weights than those that it began with"
        if began and now not in ("", began)
        else ""
    )


def _give_way(folder: RunFolder, choice: Choice, earlier: Mapping[str, Any], changed: str) -> ResumePlan:
    """A run with other settings gives way if it is finished."""
    if choice.candidate is not None:
        plan = plan_from(choice.candidate.path, choice.content, earlier, earlier=earlier)
        if plan.finished:
            return ResumePlan(archive_previous=True, archived=f"which is finished; {changed}")
    raise UsageError(
        f"--output_dir {str(folder.root)!r}: holds a run with other settings ({changed}); give the same settings "
        "to continue it, --resume never to start a new run here, or another --output_dir"
    )


def _begin_again(choice: Choice, fresh: ResumePlan) -> ResumePlan:
    """There is no checkpoint, or none that can be used."""
    for each in choice.rejected:
        if not each.is_damaged:
            raise UsageError(
                f"checkpoint {str(each.path)!r}: {each.problem}; give --resume never to start a new run here, or "
                "--resume PATH with another checkpoint"
            )
    set_aside(choice.rejected, "the run starts again from its beginning, because no other checkpoint is there")
    return fresh


def _was_started_with(folder: RunFolder, resume: str) -> bool:
    """Whether the run in the folder was started with the same ``--resume PATH``.

    Then a cluster has restarted the job: the run continues from its own last checkpoint, not from PATH.
    """
    return bool(candidates(folder)) and read_settings(folder).get("resume") == resume
