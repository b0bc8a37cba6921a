"""What people log, as plain numbers and texts."""

import math
from argparse import Namespace
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def as_number(value: Any) -> float | None:
    """A Python number for any number and for a tensor or array of one element; None for anything else.

    Whole numbers stay whole: a float can't hold all of them.
    """
    if isinstance(value, str | bytes):
        return None
    try:
        found = value.item() if hasattr(value, "item") else value
        return found if isinstance(found, int | float) else float(found)
    except (TypeError, ValueError, RuntimeError):  # a complex number, more than one element
        return None


def encoded(value: float) -> float | str:
    """The number as JSON has it, which for some means a word: "NaN", "Infinity", "-Infinity"."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def as_plain(value: Any) -> Any:
    """Settings as YAML and JSON have them: mappings, lists, numbers, texts.

    Of an object only the class is told: what else ``repr`` tells, such as an address, differs from run to run.
    """
    if isinstance(value, Namespace):
        value = vars(value)
    if value is None or isinstance(value, bool | int | float | str):
        return encoded(value) if isinstance(value, float) else value
    if isinstance(value, Mapping):
        return {str(name): as_plain(content) for name, content in value.items()}
    if isinstance(value, list | tuple | set):
        return [as_plain(content) for content in value]
    number = as_number(value)
    if number is not None:
        return encoded(number)
    return str(value) if isinstance(value, PurePath) else _class_of(value)


def _class_of(value: Any) -> str:
    named = value if hasattr(value, "__qualname__") else type(value)  # a class or a function stands for itself
    return f"{named.__module__}.{named.__qualname__}"
