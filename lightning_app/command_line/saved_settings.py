"""The settings of a command as plain values and as YAML, from which ``--config`` reads them again."""

import warnings
from enum import Enum
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser, Namespace

from lightning_app.azureml.plain_objects import to_plain

_UNKNOWN = "Unable to serialize instance "  # jsonargparse's prefix of a text where a function may stand as well
_LIBRARIES = ("lightning_fabric", "lightning_utilities", "pytorch_lightning", "torch")


def make_plain(settings: Namespace) -> None:
    """Replaces, in place, values that YAML can't hold: defaults that are enums, devices or NumPy's numbers."""
    for name, value in vars(settings).items():
        setattr(settings, name, _plain(value))


def as_yaml(parser: ArgumentParser, settings: Namespace) -> str:
    """The settings with all defaults."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=rf"\s*{_UNKNOWN}")
        text: str = parser.dump(settings, skip_unset=False, format="yaml")
    return text.replace(_UNKNOWN, "")


def _plain(value: Any) -> Any:
    if isinstance(value, Namespace):
        make_plain(value)
    elif isinstance(value, list):
        return [_plain(item) for item in value]
    elif isinstance(value, Enum):  # of a parameter with that type, the parser knows the names of the members
        return value.value if type(value).__module__.partition(".")[0] in _LIBRARIES else value
    elif isinstance(value, torch.device):
        return str(value)
    elif isinstance(value, str | int | float | np.generic):  # NumPy's numbers, a TorchVersion
        return to_plain(value)
    return value
