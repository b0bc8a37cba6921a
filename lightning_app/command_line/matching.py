"""Whether a model and its data fit each other, checked before they are used."""

import inspect
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.errors import UsageError


def require_same_classes(datamodule: Any, checkpoint: Path) -> None:
    """Checks that the data has the classes that the network was trained on, in the same order.

    Raises:
        UsageError: It has other classes, or another order.
    """
    saved = read_checkpoint(checkpoint).get("hyper_parameters")
    trained = saved.get("classes") if isinstance(saved, Mapping) else None
    given = getattr(datamodule, "classes", None)
    if trained and given and _composed(trained) != _composed(given):
        raise UsageError(
            f"--data_path: holds the classes {_listed(given)}, but {str(checkpoint)!r} was trained on "
            f"{_listed(trained)}; give data with the same classes"
        )


def require_given_classes(names: Sequence[str] | None, model: pl.LightningModule, datamodule: Any) -> None:
    """Checks that ``--model.classes``, if it is given, are the data's classes, whose names the model gets.

    Args:
        names: The setting.
        model: Its parameter ``classes`` has a default, which is no choice of the user's.
        datamodule: The data.

    Raises:
        UsageError: The data has other classes.
    """
    classes = getattr(datamodule, "classes", None)
    parameter = inspect.signature(type(model)).parameters.get("classes")
    if parameter is None or names is None or classes is None:
        return
    default = None if parameter.default is parameter.empty else parameter.default
    if list(names) == list(default or ()):
        return
    if _composed(names) != _composed(classes):
        raise UsageError(
            f"--model.classes {_listed(names)}: the data has the classes {_listed(classes)}; leave --model.classes "
            "out, or give data with these classes"
        )


def require_image_size(model: pl.LightningModule, datamodule: Any) -> None:
    """Checks that a model for images of one size, its attribute ``image_size``, gets images of this size.

    A model may also have a smallest size, its attribute ``least_image_size``.

    Raises:
        UsageError: The data has images of another size.
    """
    expected, given = getattr(model, "image_size", None), getattr(datamodule, "image_size", None)
    least = getattr(model, "least_image_size", None)
    if not isinstance(given, int):
        return
    name = getattr(model, "architecture", type(model).__name__)
    if isinstance(expected, int) and expected != given:
        raise UsageError(
            f"--data.image_size {given}: {name} is for images of {expected} x {expected} pixels; give "
            f"--data.image_size {expected}, or a model for images of any size, such as --model ResNetTransfer"
        )
    if isinstance(least, int) and given < least:
        raise UsageError(
            f"--data.image_size {given}: {name} is for images of at least {least} x {least} pixels; give "
            f"--data.image_size {least} or more"
        )


def _composed(names: Iterable[str]) -> list[str]:
    """Names as most systems write them; a Mac may write an accent as a character of its own."""
    return [unicodedata.normalize("NFC", name) for name in names]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
