"""The classes that the parser starts with: the model and the data, also where the user names only one of them."""

import importlib
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

import datamodules
import models
from lightning_app.command_line.given_settings import class_of, text_of
from models.architectures import Architecture, names

DEFAULT_MODEL = "models.CifarNet"
_FOLDER = "datamodules.ImageFolderDataModule"
_DEFAULT_DATA = {
    models.CifarNet: "datamodules.CIFAR10DataModule",
    models.CifarResNet: "datamodules.CIFAR10DataModule",
    models.ResNetTransfer: _FOLDER,
}
_KINDS = {"model": (pl.LightningModule, models), "data": (pl.LightningDataModule, datamodules)}


def default_classes(given: Mapping[str, Any]) -> dict[str, Any]:
    """The sections ``model`` and ``data`` that the parser starts with.

    A class that is given is there from the start, so that its settings may come before it. Beside it there is no other
    class, of which the parser would take over settings.

    Args:
        given: The settings that the user has given.
    """
    model = class_of(given, "model") or DEFAULT_MODEL
    imported = {"model": _imported("model", model), "data": _imported("data", class_of(given, "data"))}
    defaults = {part: _path(found) for part, found in imported.items() if found is not None}
    if not class_of(given, "data") and given.get("data", {}) is not None and (data := _data_of(imported["model"])):
        defaults["data"] = data
    sections: dict[str, Any] = {part: {"class_path": path} for part, path in defaults.items()}
    if (size := _image_size(imported["model"], given)) and defaults.get("data") == _FOLDER:
        sections["data"]["init_args"] = {"image_size": size}
    return sections


def _image_size(model: type | None, given: Mapping[str, Any]) -> int | None:
    """That of the weights of a chosen architecture; None where there is none, or none that torchvision has."""
    section = given.get("model")
    if not isinstance(section, Mapping) or model is None or not issubclass(model, models.ResNetTransfer):
        return None
    name = text_of(section, "architecture") or text_of(section, "init_args", "architecture")
    return Architecture(name).image_size if name in names() else None


def _data_of(model: type | None) -> str | None:
    """The data that belongs to a model of this project, and to a subclass of it."""
    return next((data for known, data in _DEFAULT_DATA.items() if model is not None and issubclass(model, known)), None)


def _imported(part: str, class_path: str | None) -> type | None:
    """The class; None if there is no such model or data, which the parser reports."""
    kind, own = _KINDS[part]
    module, _, name = (class_path or "").rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else own, name, None)
    except Exception:  # importing runs the user's module
        return None
    return found if isinstance(found, type) and issubclass(found, kind) else None


def _path(found: type) -> str:
    """The path by which the parser names a class."""
    package = found.__module__.partition(".")[0]
    return f"{package if package in ('models', 'datamodules') else found.__module__}.{found.__qualname__}"
