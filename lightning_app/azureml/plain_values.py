"""Logged values as plain numbers."""

import math
from typing import Any

NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # the texts in JSON files for numbers that JSON can't hold


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


def is_finite(value: float) -> bool:
    """Whether a float can hold the number."""
    try:
        return math.isfinite(value)
    except OverflowError:  # a large integer
        return False


def to_json_number(value: float) -> float | str:
    """The number for JSON; NaN and infinite ones as the strings "NaN", "Infinity" and "-Infinity"."""
    if is_finite(value):
        return value
    return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
