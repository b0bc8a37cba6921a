"""Logged values as plain numbers and strings, and ``hparams.yaml``."""

import math
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import yaml


def to_number(value: Any) -> float | None:
    """A Python number from any number and from a tensor or array with one element; None for anything else.

    Integers stay integers, because a float can't represent all of them.
    """
    if isinstance(value, str | bytes):
        return None
    try:
        number = value.item() if hasattr(value, "item") else value
        return number if isinstance(number, int | float) else float(number)
    except (TypeError, ValueError, RuntimeError):  # a complex number, more than one element
        return None


def to_json_number(value: float) -> float | str:
    """The number for JSON; NaN and infinite ones as the strings "NaN", "Infinity" and "-Infinity"."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def to_plain(value: Any) -> Any:
    """Settings for YAML and JSON: mappings, lists, numbers and strings.

    An object becomes the name of its class, because its ``repr`` may have an address that differs from run to run.
    """
    if isinstance(value, Namespace):
        value = vars(value)
    if value is None or isinstance(value, bool | int | float | str):
        return to_json_number(value) if isinstance(value, float) else value
    if isinstance(value, Mapping):
        return {str(name): to_plain(content) for name, content in value.items()}
    if isinstance(value, list | tuple | set):
        return [to_plain(content) for content in value]
    number = to_number(value)
    if number is not None:
        return to_json_number(number)
    return str(value) if isinstance(value, PurePath) else _class_of(value)


def _class_of(value: Any) -> str:
    named = value if hasattr(value, "__qualname__") else type(value)  # a class or a function has its own name
    return f"{named.__module__}.{named.__qualname__}"


def merge_hyperparameters(path: Path, params: Mapping[str, Any] | Namespace) -> None:
    """Adds settings to the file; an existing name gets its new value."""
    plain = {name: value for name, value in to_plain(params).items() if not name.startswith("_")}  # Lightning's own
    existing = yaml.safe_load(path.read_text()) or {} if path.exists() else {}
    merged = existing | plain
    if merged != existing:
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(yaml.safe_dump(merged, sort_keys=False, allow_unicode=True))
        unfinished.replace(path)
