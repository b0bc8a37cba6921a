"""Exported models as functions from images to logits."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lightning_app.errors import UsageError
from lightning_app.export.description import INPUT, OUTPUT
from lightning_app.export.files import Format

Run = Callable[[Tensor], Tensor]
"""From images (N, 3, H, W) to logits (N, classes), both on the CPU."""


def open_exported(file: Path, kind: Format, threads: int = 0) -> Run:
    """Loads an exported model.

    Args:
        file: The model. One of torch.export is for torch to unpickle: open only those that you trust.
        kind: Its kind.
        threads: Of onnxruntime; 0 is its own choice.

    Raises:
        UsageError: It can't be loaded, or onnxruntime isn't installed.
    """
    try:
        return _onnx(file, threads) if kind == "onnx" else _torch(file)
    except UsageError:
        raise
    except Exception as error:  # of two libraries
        raise UsageError(
            f"exported model {str(file)!r}: can't be loaded ({' '.join(str(error).split()):.300})"
        ) from error


def require_onnx(command: str) -> None:
    """Raises UsageError if a package of the extra ``export`` is missing."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # it is read when onnxruntime is imported
    for name in ("onnx", "onnxruntime", "onnxscript"):
        try:
            __import__(name)
        except ImportError as error:
            raise UsageError(f"{command}: {name} isn't installed; pip install 'lightning-azureml[export]'") from error


def _onnx(file: Path, threads: int) -> Run:
    # onnxruntime 1.32 connects to Microsoft's telemetry on Linux as well
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("onnxruntime isn't installed; pip install 'lightning-azureml[export]'") from error
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (logits,) = session.run([OUTPUT], {INPUT: images.contiguous().numpy()})
        return torch.from_numpy(logits)

    return run


def _torch(file: Path) -> Run:
    network = torch.export.load(file).module()

    def run(images: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = network(images.contiguous())
        return logits

    return run
