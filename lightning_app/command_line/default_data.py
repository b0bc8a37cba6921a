"""The data that belongs to a model of this project, where the user names no data."""

from collections.abc import Mapping
from typing import Any

from lightning_app.command_line.given_settings import class_of

DEFAULT_MODEL = "models.CifarNet"
_DEFAULT_DATA = {"CifarNet": "datamodules.CIFAR10DataModule", "ResNetTransfer": "datamodules.ImageFolderDataModule"}
CLASS_NAMES = (*_DEFAULT_DATA, *(path.rpartition(".")[2] for path in _DEFAULT_DATA.values()))


def default_classes(given: Mapping[str, Any]) -> dict[str, Any]:
    """The sections ``model`` and ``data`` of what isn't given.

    A class that is given gets no default beside it: the parser would take over settings of the default class.

    Args:
        given: The settings that the user has given.
    """
    model = class_of(given, "model")
    defaults = {} if model else {"model": {"class_path": DEFAULT_MODEL}}
    data = _DEFAULT_DATA.get((model or DEFAULT_MODEL).rpartition(".")[2])
    if data and not class_of(given, "data") and given.get("data", {}) is not None:
        defaults["data"] = {"class_path": data}
    return defaults
