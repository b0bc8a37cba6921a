"""Where an exported network comes from: its run, its checkpoint, its data and the metrics of that checkpoint."""

import json
from pathlib import Path
from typing import Any

from lightning_app.azureml.json_lines import read_json_lines
from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.checkpointing.sidecar import file_hash
from lightning_app.run_folder import RunFolder, run_of


def lineage(checkpoint: Path) -> dict[str, Any]:
    """What ``model.json`` says of the origin; what a checkpoint without its run folder lacks is None or empty.

    ``azureml_run`` is the job that trained last, and ``metrics`` are those of this checkpoint.
    """
    folder = run_of(checkpoint) or RunFolder(checkpoint.resolve().parent)
    content = read_checkpoint(checkpoint)
    step = content.get("global_step")
    start = _last_start(folder)
    return {
        "run": str(folder.root.resolve()),
        "azureml_run": start.get("azureml run"),
        "checkpoint": {"file": checkpoint.name, "sha256": file_hash(checkpoint), "step": step},
        "git_commit": start.get("git commit"),
        "data_path": _data_path(content),
        "metrics": _metrics(folder, checkpoint, step),
    }


def _last_start(folder: RunFolder) -> dict[str, Any]:
    """The training's last start, as its history has it."""
    try:
        starts = [entry for entry in read_json_lines(folder.history) if "git commit" in entry]
    except OSError:  # a checkpoint without its run
        return {}
    return starts[-1] if starts else {}


def _data_path(content: dict[str, Any]) -> str | None:
    """``--data_path`` of the training, which its datamodule has saved; None for generated images."""
    given = (content.get("datamodule_hyper_parameters") or {}).get("data_path")
    return None if given is None else str(given)


def _metrics(folder: RunFolder, checkpoint: Path, step: int | None) -> dict[str, float]:
    """Those of the checkpoint: a training tests its best checkpoint, or the last one where there is no best one."""
    is_best = checkpoint.name == folder.best.name
    found: dict[str, float] = {}
    validation = _json(folder.evaluation("val"))
    if validation.get("step") == step:
        found |= _scalars("val", validation)
    if is_best:
        found |= _numbers(_json(folder.best_metrics).get("metrics") or {})
    if is_best or not folder.best.exists():
        found |= _scalars("test", _json(folder.evaluation("test")))
    return found


def _scalars(stage: str, evaluation: dict[str, Any]) -> dict[str, float]:
    return {f"{stage}_{name}": value for name, value in _numbers(evaluation).items() if name != "step"}


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """The numbers among them; a share with its interval is an object with its ``value``."""
    plain = {name: each.get("value") if isinstance(each, dict) else each for name, each in values.items()}
    return {
        str(name): float(value)
        for name, value in plain.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _json(file: Path) -> dict[str, Any]:
    """The object in a file; empty if it isn't there or is damaged, which the report says."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
