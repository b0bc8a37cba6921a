"""Hyperparameters in checkpoints, which this program reads without unpickling code."""

import io
import sys
from collections.abc import Mapping
from typing import Any

import torch

from lightning_app.azureml.plain_objects import to_plain

_KEYS = ("hyper_parameters", "datamodule_hyper_parameters")


def with_plain_hyperparameters(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint, where hyperparameters that couldn't be read again are plain, as in ``hparams.yaml``.

    A module may save NumPy's numbers, enums, paths and classes of its own: ``torch.load`` refuses the whole file then.
    """
    saved = {key: checkpoint[key] for key in _KEYS if isinstance(checkpoint.get(key), Mapping)}
    if is_readable(saved):
        return dict(checkpoint)
    return {**checkpoint, **{key: _plain(values) for key, values in saved.items()}}


def is_readable(value: Any) -> bool:
    """Whether ``torch.load`` reads it back without unpickling code."""
    if _is_builtin(value):  # as nearly always; to try takes a hundred times as long
        return True
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except Exception:  # of pickle, and of the values' own methods
        return False
    return True


def _is_builtin(value: Any, levels: int = 20) -> bool:
    """Whether it is nothing but Python's own numbers, texts, lists, tuples and dicts, nested so many levels deep."""
    kind = type(value)
    if kind is int:
        return bool(value.bit_length() < 64)  # torch reads no number that is very long
    if kind in (str, float, bool, type(None)):
        return True
    if levels == 0 or kind not in (dict, list, tuple):
        return False
    inner = [*value, *value.values()] if kind is dict else value
    return all(_is_builtin(each, levels - 1) for each in inner)


def _plain(values: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: value if is_readable(value) else to_plain(value, sys.maxsize) for name, value in values.items()}
