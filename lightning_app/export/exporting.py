"""Exports the network of a run: the folder of the exported model is complete and exact, or not there."""

import contextlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from datamodules.preprocessing import preprocessing_of
from lightning_app.command_line.trained import Trained, trained
from lightning_app.errors import UsageError
from lightning_app.export import description
from lightning_app.export.check import TOLERANCE, Agreement, ValidationImages, compare
from lightning_app.export.files import DESCRIPTION, FILES, Format, is_export, write_checksums
from lightning_app.export.lineage import lineage
from lightning_app.export.network import ExportedNetwork, add_metadata, require_opset, write
from lightning_app.export.runtime import open_exported, require_onnx

_PACKAGES = ("torch", "torchvision", "onnx", "onnxruntime", "onnxscript")
_IN_ONNX = ("model", "classes", "preprocessing", "checkpoint", "git_commit")


@dataclass(frozen=True)
class Wanted:
    """How a network is exported; see the flags of the command. None is the default."""

    format: Format = "onnx"
    opset: int | None = None
    images: int | None = None
    tolerance: float | None = None

    @property
    def allowed(self) -> float:
        return TOLERANCE if self.tolerance is None else self.tolerance


def export(run: Path, target: Path, wanted: Wanted, flags: Sequence[str] = ()) -> Agreement:
    """Exports the network of a run folder, or of a checkpoint, to the folder ``target``.

    Raises:
        UsageError: There is no network, it can't be exported, or the exported model differs from it.
    """
    _require_replaceable(target)
    if wanted.format == "onnx":
        require_onnx("export --format onnx")
    network = trained("export", run, flags)
    images = ValidationImages(network, wanted.images)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        unfinished.mkdir(parents=True)
        agreement = _write(network, images, wanted, unfinished)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
    except OSError as error:
        raise UsageError(
            f"--output {str(target)!r}: can't be written ({error.strerror}); give another folder"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return agreement


def _write(network: Trained, images: ValidationImages, wanted: Wanted, folder: Path) -> Agreement:
    preprocessing, file = preprocessing_of(network.datamodule), folder / FILES[wanted.format]
    example, seen, _ = next(iter(images))
    write(ExportedNetwork(network.model, preprocessing).eval(), example, wanted.format, file, wanted.opset)
    content = _content(network, wanted, example, int(network.model(seen[:1]).shape[1]))
    if wanted.format == "onnx":
        require_opset(file, wanted.opset)
        add_metadata(file, {name: json.dumps(content[name]) for name in _IN_ONNX})
    agreement = compare(network, open_exported(file, wanted.format), images, wanted.allowed)
    content["agreement"] = asdict(agreement) | {
        "network_accuracy": agreement.network_correct / agreement.images,
        "exported_accuracy": agreement.exported_correct / agreement.images,
        "tolerance": wanted.allowed,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (folder / DESCRIPTION).write_text(f"{text}\n", encoding="utf-8")
    write_checksums(folder)
    return agreement


def _content(network: Trained, wanted: Wanted, example: Any, width: int) -> dict[str, Any]:
    """What ``model.json`` says, without the comparison."""
    classes = network.classes or [str(number) for number in range(width)]
    if len(classes) != width:
        raise UsageError(f"export: the network has {width} outputs and {len(classes)} classes; expected one for each")
    return {
        "format": wanted.format,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": type(network.model).__name__,
        **lineage(network.checkpoint),
        "versions": _versions(),
        "input": {
            "name": description.INPUT,
            "shape": ["batch", *example.shape[1:]],
            "type": str(example.dtype).removeprefix("torch."),
        },
        "output": {"name": description.OUTPUT, "shape": ["batch", width], "type": "float32"},
        "classes": classes,
        "preprocessing": description.preprocessing_content(preprocessing_of(network.datamodule)),
    }


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _require_replaceable(target: Path) -> None:
    """Checks that nothing but an earlier export would be replaced."""
    if target.is_dir() and (not any(target.iterdir()) or is_export(target)):
        return
    if target.exists():
        raise UsageError(f"--output {str(target)!r}: exists and isn't an exported model; give another folder")
