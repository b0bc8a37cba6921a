"""Checkpoints in Lightning's format with the files beside them, and what becomes of files on broken disks."""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from lightning_app.checkpointing.sidecar import Sidecar, sidecar_path, write_sidecar


def counter(number: int) -> dict[str, dict[str, int]]:
    return {
        name: dict.fromkeys(("ready", "started", "processed", "completed"), number) for name in ("total", "current")
    }


def content(epochs: int, **more: Any) -> dict[str, Any]:
    """A checkpoint after complete epochs of ten steps."""
    batches = counter(10) | {"is_last_batch": True}
    return {
        "epoch": max(0, epochs - 1),
        "global_step": epochs * 10,
        "pytorch-lightning_version": "2.6",
        "state_dict": {"weight": torch.full((1000,), float(epochs))},
        "loops": {"fit_loop": {"epoch_progress": counter(epochs), "epoch_loop.batch_progress": batches}},
        "optimizer_states": [],
        "lr_schedulers": [],
        "hyper_parameters": {"_class_path": "models.CifarNet"},
    } | more


def write(path: Path, epochs: int, **more: Any) -> Path:
    """A checkpoint and its sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content(epochs, **more), path)
    describe(path, epochs * 10, epochs)
    return path


def describe(path: Path, step: int, epoch: int) -> None:
    """Writes the sidecar."""
    data = path.read_bytes()
    write_sidecar(path, Sidecar(step, epoch, len(data), hashlib.sha256(data).hexdigest()))


def flip_bit(path: Path) -> None:
    """In the middle, where the weights are."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damage(path: Path, how: str) -> None:
    """``truncated``, ``empty``, ``flipped`` or ``text``; with ``, no sidecar`` the file beside it is missing, too."""
    kind, _, without = how.partition(", no ")
    if without:
        sidecar_path(path).unlink()
    if kind == "flipped":
        flip_bit(path)
    elif kind == "text":
        path.write_text("x" * path.stat().st_size)
    else:
        os.truncate(path, path.stat().st_size // 2 if kind == "truncated" else 0)
