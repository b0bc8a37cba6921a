"""``--resume``: whether a run continues from a checkpoint, starts from the beginning, or is finished already."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_app.azureml.journal import read_journal
from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.checkpointing.checkpoint_shape import require_resumable
from lightning_app.checkpointing.position import KEY, Position
from lightning_app.checkpointing.run_settings import callbacks_of, differences, is_generated, read_settings
from lightning_app.console import format_count
from lightning_app.distributed.detect import detect_launch
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.run_trainer import CALLBACK, STEPS, TIME

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResumePlan:
    """What happens to the run folder and where training continues.

    Args:
        checkpoint: The checkpoint that training continues from; None for a fresh run.
        epochs_done: Complete epochs in that checkpoint.
        steps_done: Optimizer steps in that checkpoint.
        archive_previous: An earlier run in the folder is moved to ``previous/``.
        archived: What the earlier run was, where that is the reason.
        finished: The checkpoint has all epochs or steps that the settings ask for, or something else has ended the run
            that the settings still have.
        ended_by: ``max_steps``, ``max_time`` or the name of a callback, if that has ended the finished run before its
            last epoch.
        tested: The run in the folder is finished, and its test metrics are in the journal.
    """

    checkpoint: Path | None = None
    epochs_done: int = 0
    steps_done: int = 0
    archive_previous: bool = False
    archived: str = ""
    finished: bool = False
    ended_by: str = ""
    tested: bool = False

    @property
    def message(self) -> str:
        """What has finished the run, and how to go on."""
        done = format_count(self.epochs_done, "epoch")
        if not self.ended_by:
            return f"training is finished ({done}). To continue, raise --num_epochs"
        if self.ended_by == STEPS:
            steps = format_count(self.steps_done, "step")
            return f"training is finished ({steps}). To continue, raise --trainer.max_steps or leave it out"
        done = f"after {done} and {format_count(self.steps_done, 'step')}"
        if self.ended_by == TIME:
            return f"training was ended {done} by --trainer.max_time. To continue, raise it or leave it out"
        return f"training was ended {done} by {self.ended_by}. To continue, change its settings or leave it out"


def plan_resume(folder: RunFolder, resume: str, config: Mapping[str, Any]) -> ResumePlan:
    """Decides from ``--resume`` and the content of the folder.

    Rank 0 decides for all processes: the other nodes may have disks of their own. Other ranks get an empty plan here,
    and rank 0's plan when the processes are connected.

    Raises:
        UsageError: ``--resume`` names no checkpoint, or the unfinished run in the folder has other settings.
    """
    if detect_launch().rank > 0:
        return ResumePlan()
    if resume == "never":
        return ResumePlan(archive_previous=folder.holds_a_run())
    if resume != "auto" and not _was_started_with(folder, resume):
        checkpoint = _find_checkpoint(resume)
        return _plan_from(checkpoint, config, archive_previous=_holds_another_run(folder, resume))
    earlier = read_settings(folder)
    changed = differences(earlier, config) if earlier else ""
    if not folder.last.exists():
        # a run that stopped before its first checkpoint starts again in place, so that nothing is logged twice
        return ResumePlan(archive_previous=folder.holds_a_run() and (bool(changed) or not earlier))
    if earlier and is_generated(earlier) and not is_generated(config):
        return ResumePlan(archive_previous=True, archived="of generated images")
    if earlier and is_generated(config) and not is_generated(earlier):
        changed = "its images were real, now they are generated" + (f", {changed}" if changed else "")
    plan = _plan_from(_newest_good(folder), earlier if changed else config, earlier=earlier)
    if changed and plan.finished:
        return ResumePlan(archive_previous=True, archived=f"which is finished; {changed}")
    if changed:
        raise UsageError(
            f"--output_dir {str(folder.root)!r}: holds a run with other settings ({changed}); give the same settings "
            "to continue it, --resume never to start a new run here, or another --output_dir"
        )
    return replace(plan, tested=plan.finished and _has_test_metrics(folder, plan.steps_done))


def _plan_from(
    checkpoint: Path,
    config: Mapping[str, Any],
    archive_previous: bool = False,
    earlier: Mapping[str, Any] | None = None,
) -> ResumePlan:
    content = read_checkpoint(checkpoint)
    require_resumable(checkpoint, content)
    _require_same_model(checkpoint, content, config)
    epochs, steps = Position.read(content).epoch, content["global_step"]
    trainer = config.get("trainer") or {}
    enough_epochs = 0 <= (trainer.get("max_epochs") or -1) <= epochs
    enough_steps = 0 <= (trainer.get("max_steps") or -1) <= steps
    ended_by = STEPS if enough_steps else "" if earlier is None else _ended_by(content, config, earlier)
    if enough_epochs:
        ended_by = ""
    finished = enough_epochs or bool(ended_by)
    return ResumePlan(checkpoint, epochs, steps, archive_previous, finished=finished, ended_by=ended_by)


def _ended_by(content: Mapping[str, Any], config: Mapping[str, Any], earlier: Mapping[str, Any]) -> str:
    """What has ended the run before its last epoch, and would again; empty if nothing did or its settings are new."""
    end = content.get(KEY, {}).get("end") or {}
    if end.get("reason") == TIME:
        limits = [(settings.get("trainer") or {}).get("max_time") for settings in (config, earlier)]
        return TIME if limits[0] == limits[1] else ""
    if end.get("reason") == CALLBACK:
        name = str(end.get("by"))
        return name if callbacks_of(config, name) == callbacks_of(earlier, name) else ""
    return ""


def _newest_good(folder: RunFolder) -> Path:
    """The last checkpoint; where it is damaged, the best one.

    Raises:
        UsageError: Both are damaged, or there is no best one.
    """
    try:
        require_resumable(folder.last, read_checkpoint(folder.last))
        return folder.last
    except UsageError as error:
        try:
            require_resumable(folder.best, read_checkpoint(folder.best))
        except UsageError:
            raise UsageError(
                f"{error}; give --resume never to start a new run here, or --resume PATH with another checkpoint"
            ) from error
        log.warning("%s; %s is used in its place.", error, folder.best)
        return folder.best


def _find_checkpoint(resume: str) -> Path:
    path = Path(resume)
    folder = RunFolder(path)
    candidates = [folder.last, RunFolder(path / "outputs").last] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.exists() and (candidate.is_file() or candidate != path):
            return candidate
    if path.is_dir():
        raise UsageError(f"--resume {resume!r}: no {str(folder.last.relative_to(path))!r} in this folder")
    raise UsageError(f"--resume {resume!r}: no such file or folder; expected auto, never, a checkpoint or a run folder")


def _was_started_with(folder: RunFolder, resume: str) -> bool:
    """Whether the run in the folder was started with the same ``--resume PATH``.

    Then a cluster has restarted the job: the run continues from its own last checkpoint, not from PATH.
    """
    return folder.last.exists() and read_settings(folder).get("resume") == resume


def _holds_another_run(folder: RunFolder, resume: str) -> bool:
    """Whether the folder holds a run to which the checkpoint doesn't belong."""
    path = Path(resume).resolve()
    return folder.holds_a_run() and folder.root.resolve() not in (path, *path.parents)


def _require_same_model(checkpoint: Path, content: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    saved = content.get("hyper_parameters", {}).get("_class_path")
    given = config["model"]["class_path"] if config.get("model") else None
    if saved and given and saved.rpartition(".")[2] != given.rpartition(".")[2]:
        raise UsageError(f"--resume: {str(checkpoint)!r} is a checkpoint of {saved}, but --model is {given}")


def _has_test_metrics(folder: RunFolder, steps: int) -> bool:
    if not folder.journal.exists():
        return False
    return any(
        row["step"] >= steps and any(name.startswith("test_") for name in row["metrics"])
        for row in read_journal(folder.journal)
    )
