"""Whether a run goes on, starts afresh, or is finished already."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml

from lightning_app.azureml.journal import read_journal
from lightning_app.checkpoints import read_checkpoint
from lightning_app.distributed.detect import detect_launch
from lightning_app.distributed.sync import broadcast, run_connected
from lightning_app.errors import UsageError
from lightning_app.flags import short_name
from lightning_app.run_folder import RunFolder

_MAY_CHANGE = {"data_path", "num_workers", "download", "skip_broken", "weights"}  # by one place to the next
_OF_TRAINER = {"precision", "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm"}


@dataclass(frozen=True)
class ResumePlan:
    """What to do with the run folder: where training goes on, and whether an earlier run has to make room."""

    checkpoint: Path | None = None
    epochs_done: int = 0
    steps_done: int = 0
    set_aside: bool = False
    finished: bool = False
    tested: bool = False


def plan_resume(folder: RunFolder, resume: str, config: Mapping[str, Any]) -> ResumePlan:
    """Decides from ``--resume`` and from what lies in the folder; rank 0 does so for all, see ``agreed``.

    Raises:
        UsageError: ``--resume`` names nothing usable, or the folder's unfinished run has other settings.
    """
    launch = detect_launch()
    if launch.rank > 0:
        return ResumePlan()
    if resume == "never":
        return ResumePlan(set_aside=folder.holds_a_run())
    if resume != "auto" and not _goes_on_from(folder, resume):
        return _plan_from(_find_checkpoint(resume), config, set_aside=_others(folder, resume))
    if not folder.last.exists():
        # stopped before its first checkpoint: it starts again in place, so that what it logged isn't logged twice
        return ResumePlan(set_aside=folder.holds_a_run() and not _begun_with(folder, config))
    _require_same_settings(folder, config)
    found = _plan_from(folder.last, config)
    # with others about, only ``agreed`` may say that nothing is left to do: they would wait for this process
    return replace(found, tested=launch.world_size == 1 and found.finished and _tested(folder, found.steps_done))


def agreed(trainer: pl.Trainer, folder: RunFolder, plan: ResumePlan) -> ResumePlan:
    """Rank 0's plan, in each process: on several nodes, the others' disks may hold nothing or something else."""
    if trainer.world_size == 1:
        return plan
    if trainer.is_global_zero and plan.checkpoint == folder.last:
        plan = replace(plan, tested=plan.finished and _tested(folder, plan.steps_done))
    return run_connected(trainer, lambda: broadcast(trainer, plan))


def _plan_from(checkpoint: Path, config: Mapping[str, Any], set_aside: bool = False) -> ResumePlan:
    content = read_checkpoint(checkpoint)
    _require_same_model(checkpoint, content, config)
    epochs = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    steps = content["global_step"]
    trainer = config["trainer"]
    enough_epochs = 0 <= (trainer.get("max_epochs") or -1) <= epochs
    enough_steps = 0 <= (trainer.get("max_steps") or -1) <= steps
    return ResumePlan(checkpoint, epochs, steps, set_aside, finished=enough_epochs or enough_steps)


def _find_checkpoint(resume: str) -> Path:
    path = Path(resume)
    candidates = [RunFolder(path).last, RunFolder(path / "outputs").last] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if path.is_dir():
        raise UsageError(f"--resume {resume!r}: no 'checkpoints/last.ckpt' in this folder")
    raise UsageError(f"--resume {resume!r}: no such file or folder; expected auto, never, a checkpoint or a run folder")


def _goes_on_from(folder: RunFolder, resume: str) -> bool:
    """A job that was started with ``--resume PATH`` and restarted by its cluster goes on where it was, not at PATH."""
    return folder.last.exists() and _settings(folder).get("resume") == resume


def _others(folder: RunFolder, resume: str) -> bool:
    """Whether the folder holds a run that the checkpoint isn't from."""
    inside = folder.root.resolve() in [Path(resume).resolve(), *Path(resume).resolve().parents]
    return folder.holds_a_run() and not inside


def _settings(folder: RunFolder) -> dict[str, Any]:
    try:
        content = yaml.safe_load(folder.config.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _begun_with(folder: RunFolder, config: Mapping[str, Any]) -> bool:
    settings = _settings(folder)
    return bool(settings) and not _changed(_flat(settings), _flat(config))


def _changed(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)]


def _require_same_settings(folder: RunFolder, config: Mapping[str, Any]) -> None:
    there, here = _flat(_settings(folder)), _flat(config)
    if not there:
        return
    changed = _changed(there, here)
    classes = [name for name in changed if name.endswith(".class_path")]
    if changed:
        shown = classes or changed  # another class has other settings, which go without saying
        differences = ", ".join(f"{short_name(n)} {there.get(n)} there and {here.get(n)} here" for n in shown)
        raise UsageError(
            f"--output_dir {str(folder.root)!r}: holds a run with other settings ({differences}); give the same ones "
            "to go on with it, --resume never to set it aside, or another --output_dir"
        )


def _require_same_model(checkpoint: Path, content: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    there = content.get("hyper_parameters", {}).get("_class_path")
    here = config["model"]["class_path"] if config.get("model") else None
    if there and here and there.rpartition(".")[2] != here.rpartition(".")[2]:
        raise UsageError(f"--resume: {str(checkpoint)!r} is a checkpoint of {there}, but --model is {here}")


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings that decide what is learned, by dotted name."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{path}.")
        elif _decides(path):
            flat[path] = value
    return flat


def _decides(path: str) -> bool:
    part, _, rest = path.partition(".")
    name = rest.rpartition(".")[2]
    if part == "trainer":
        return rest in _OF_TRAINER
    return part in ("model", "data", "seed_everything") and name not in _MAY_CHANGE


def _tested(folder: RunFolder, steps: int) -> bool:
    if not folder.journal.exists():
        return False
    return any(
        row["step"] >= steps and any(name.startswith("test_") for name in row["metrics"])
        for row in read_journal(folder.journal)
    )
