"""Values of azure-ai-ml's enumerations, which it returns as such or as their text."""

from typing import Any


def plain(value: Any) -> str:
    return str(getattr(value, "value", value))
