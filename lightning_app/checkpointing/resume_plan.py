"""What happens to the run folder and where training continues, from what a checkpoint holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_app.azureml.journal import read_journal
from lightning_app.checkpointing.position import KEY, Position
from lightning_app.checkpointing.run_settings import callbacks_of
from lightning_app.console import format_count
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.early_stopping import NoImprovement
from lightning_app.trainer.run_trainer import CALLBACK, STEPS, TIME


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
        ended_by: ``max_steps``, ``max_time``, ``--early_stopping`` or the name of a callback, if that has ended the
            finished run before its last epoch.
        tested: The run in the folder is finished, and its test metrics are in the journal.
        origin: The checkpoint, for a message, where it is another run's.
    """

    checkpoint: Path | None = None
    epochs_done: int = 0
    steps_done: int = 0
    archive_previous: bool = False
    archived: str = ""
    finished: bool = False
    ended_by: str = ""
    tested: bool = False
    origin: str = field(default="", compare=False)

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


def plan_from(
    checkpoint: Path,
    content: Mapping[str, Any],
    config: Mapping[str, Any],
    archive_previous: bool = False,
    earlier: Mapping[str, Any] | None = None,
) -> ResumePlan:
    """The plan that continues from a checkpoint.

    Args:
        checkpoint: The file.
        content: What it holds.
        config: The settings of the run that continues.
        archive_previous: Whether the folder holds another run.
        earlier: The settings of the run that wrote the checkpoint, if it is the same run.

    Raises:
        UsageError: It is a checkpoint of another model.
    """
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


def has_test_metrics(folder: RunFolder, steps: int) -> bool:
    """Whether the journal has the metrics of a test after this many steps."""
    if not folder.journal.exists():
        return False
    return any(
        row["step"] >= steps and any(name.startswith("test_") for name in row["metrics"])
        for row in read_journal(folder.journal)
    )


def _ended_by(content: Mapping[str, Any], config: Mapping[str, Any], earlier: Mapping[str, Any]) -> str:
    """What has ended the run before its last epoch, and would again; empty if nothing did or its settings are new."""
    end = content.get(KEY, {}).get("end") or {}
    if end.get("reason") == TIME:
        limits = [(settings.get("trainer") or {}).get("max_time") for settings in (config, earlier)]
        return TIME if limits[0] == limits[1] else ""
    if end.get("reason") == CALLBACK:
        name = str(end.get("by"))
        if name == NoImprovement.__name__:
            flags = [(settings.get("early_stopping"), settings.get("monitor")) for settings in (config, earlier)]
            return "--early_stopping" if flags[0] == flags[1] else ""
        return name if callbacks_of(config, name) == callbacks_of(earlier, name) else ""
    return ""


def _require_same_model(checkpoint: Path, content: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    saved = content.get("hyper_parameters", {}).get("_class_path")
    given = config["model"]["class_path"] if config.get("model") else None
    if isinstance(saved, str) and given and saved.rpartition(".")[2] != given.rpartition(".")[2]:
        raise UsageError(f"--resume: {str(checkpoint)!r} is a checkpoint of {saved}, but --model is {given}")
