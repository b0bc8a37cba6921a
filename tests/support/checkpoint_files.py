"""Checkpoints in Lightning's format, and what becomes of files on broken disks."""

import os
from pathlib import Path
from typing import Any

import torch


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
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content(epochs, **more), path)
    return path


def flip_bit(path: Path) -> None:
    """In the middle, where the weights are."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def damage(path: Path, how: str) -> None:
    """``truncated``, ``empty``, ``flipped`` or ``text``."""
    if how == "flipped":
        flip_bit(path)
    elif how == "text":
        path.write_text("x" * path.stat().st_size)
    else:
        os.truncate(path, path.stat().st_size // 2 if how == "truncated" else 0)
