"""The device of a training, in words, and GPUs that it leaves unused."""

from pathlib import Path

import pytorch_lightning as pl
import torch

from lightning_app.console import format_count

_DEVICES = Path("/dev")


def device_text(trainer: pl.Trainer) -> str:
    """``CPU, 2 threads`` or ``GPU 0 (NVIDIA H100 80GB HBM3), bf16-mixed, 4 processes``."""
    device = trainer.strategy.root_device
    if device.type == "cpu":
        parts = ["CPU", format_count(torch.get_num_threads(), "thread")]
    elif device.type == "cuda":
        parts = [f"GPU {device.index or 0} ({torch.cuda.get_device_name(device)})"]
    else:
        parts = [device.type.upper()]
    parts += [str(trainer.precision)] if str(trainer.precision) != "32-true" else []
    parts += [f"{trainer.world_size} processes"] if trainer.world_size > 1 else []
    return ", ".join(parts)


def unused_gpus(trainer: pl.Trainer, devices: Path = _DEVICES) -> str | None:
    """One line about GPUs of this machine that the training doesn't use; None if it uses all, or there is none.

    Args:
        trainer: The Trainer that trains.
        devices: The folder of the system's device files.
    """
    if not isinstance(trainer.strategy.root_device, torch.device):
        return None
    if trainer.strategy.root_device.type == "cuda":
        left = torch.cuda.device_count() - trainer.num_devices
        return f"{left} of {torch.cuda.device_count()} GPUs are not used; see --trainer.devices." if left > 0 else None
    if torch.cuda.is_available():
        count, name = torch.cuda.device_count(), torch.cuda.get_device_name(0)
        return f"This machine has {format_count(count, 'GPU')} ({name}), not used; see --trainer.accelerator."
    if any(devices.glob("nvidia[0-9]*")):
        return (
            f"This machine has an NVIDIA GPU, which PyTorch {torch.__version__} can't use: install a PyTorch for CUDA "
            "that fits the driver (nvidia-smi shows its version)."
        )
    return None
