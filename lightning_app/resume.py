"""``--resume``: whether a run continues from a checkpoint, starts from the beginning, or is finished already."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lightning_app.azureml.journal import read_journal
from lightning_app.checkpoints import read_checkpoint
from lightning_app.distributed.detect import detect_launch
from lightning_app.errors import UsageError
from lightning_app.finders import found_settings
from lightning_app.flags import short_name
from lightning_app.run_folder import RunFolder

_MAY_DIFFER = {"data_path", "num_workers", "download", "skip_broken", "weights"}  # between two machines
_TRAINER_SETTINGS = {"precision", "accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm"}


@dataclass(frozen=True)
class ResumePlan:
    """What happens to the run folder and where training continues.

    Args:
        checkpoint: The checkpoint that training continues from; None for a fresh run.
        epochs_done: Complete epochs in that checkpoint.
        steps_done: Optimizer steps in that checkpoint.
        archive_previous: An earlier run in the folder is moved to ``previous/``.
        finished: The checkpoint has all epochs or steps that the settings ask for.
        tested: The run in the folder is finished, and its test metrics are in the journal.
    """

    checkpoint: Path | None = None
    epochs_done: int = 0
    steps_done: int = 0
    archive_previous: bool = False
    finished: bool = False
    tested: bool = False


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
    if not folder.last.exists():
        # a run that stopped before its first checkpoint starts again in place, so that nothing is logged twice
        return ResumePlan(archive_previous=folder.holds_a_run() and not _has_same_settings(folder, config))
    _require_same_settings(folder, config)
    plan = _plan_from(folder.last, config)
    return replace(plan, tested=plan.finished and _has_test_metrics(folder, plan.steps_done))


def _plan_from(checkpoint: Path, config: Mapping[str, Any], archive_previous: bool = False) -> ResumePlan:
    content = read_checkpoint(checkpoint)
    _require_same_model(checkpoint, content, config)
    epochs = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    steps = content["global_step"]
    trainer = config["trainer"]
    enough_epochs = 0 <= (trainer.get("max_epochs") or -1) <= epochs
    enough_steps = 0 <= (trainer.get("max_steps") or -1) <= steps
    return ResumePlan(checkpoint, epochs, steps, archive_previous, finished=enough_epochs or enough_steps)


def _find_checkpoint(resume: str) -> Path:
    path = Path(resume)
    folder = RunFolder(path)
    candidates = [folder.last, RunFolder(path / "outputs").last] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if path.is_dir():
        raise UsageError(f"--resume {resume!r}: no {str(folder.last.relative_to(path))!r} in this folder")
    raise UsageError(f"--resume {resume!r}: no such file or folder; expected auto, never, a checkpoint or a run folder")


def _was_started_with(folder: RunFolder, resume: str) -> bool:
    """Whether the run in the folder was started with the same ``--resume PATH``.

    Then a cluster has restarted the job: the run continues from its own last checkpoint, not from PATH.
    """
    return folder.last.exists() and _read_settings(folder).get("resume") == resume


def _holds_another_run(folder: RunFolder, resume: str) -> bool:
    """Whether the folder holds a run to which the checkpoint doesn't belong."""
    path = Path(resume).resolve()
    return folder.holds_a_run() and folder.root.resolve() not in (path, *path.parents)


def _read_settings(folder: RunFolder) -> dict[str, Any]:
    try:
        content = yaml.safe_load(folder.config.read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _has_same_settings(folder: RunFolder, config: Mapping[str, Any]) -> bool:
    earlier = _read_settings(folder)
    return bool(earlier) and not _differences(_learning_settings(earlier), _learning_settings(config))


def _differences(earlier: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted(earlier.keys() | current.keys()) if earlier.get(name) != current.get(name)]


def _require_same_settings(folder: RunFolder, config: Mapping[str, Any]) -> None:
    earlier, current = _learning_settings(_read_settings(folder)), _learning_settings(config)
    changed = _differences(earlier, current)
    if not earlier or not changed:
        return
    # another class has other settings as well, which need no mention
    classes = [name for name in changed if name.endswith(".class_path")]
    listed = ", ".join(
        f"{short_name(name)} was {earlier.get(name)}, now {current.get(name)}" for name in classes or changed
    )
    raise UsageError(
        f"--output_dir {str(folder.root)!r}: holds a run with other settings ({listed}); give the same settings to "
        "continue it, --resume never to start a new run here, or another --output_dir"
    )


def _require_same_model(checkpoint: Path, content: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    saved = content.get("hyper_parameters", {}).get("_class_path")
    given = config["model"]["class_path"] if config.get("model") else None
    if saved and given and saved.rpartition(".")[2] != given.rpartition(".")[2]:
        raise UsageError(f"--resume: {str(checkpoint)!r} is a checkpoint of {saved}, but --model is {given}")


def _learning_settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings that affect what the network learns, by dotted name."""
    settings: dict[str, Any] = {}
    callbacks = config.get("trainer", {}).get("callbacks") or []
    found = found_settings(
        callbacks if isinstance(callbacks, list) else [callbacks]
    )  # config.yaml has the found values
    for name, value in config.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            settings |= _learning_settings(value, f"{path}.")
        elif _affects_learning(path):
            settings[path] = value
    return {path: value for path, value in settings.items() if path.rpartition(".")[2] not in found}


def _affects_learning(path: str) -> bool:
    part, _, rest = path.partition(".")
    if part == "trainer":
        return rest in _TRAINER_SETTINGS
    return part in ("model", "data", "seed_everything") and rest.rpartition(".")[2] not in _MAY_DIFFER


def _has_test_metrics(folder: RunFolder, steps: int) -> bool:
    if not folder.journal.exists():
        return False
    return any(
        row["step"] >= steps and any(name.startswith("test_") for name in row["metrics"])
        for row in read_journal(folder.journal)
    )
