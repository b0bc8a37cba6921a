"""Hyperparameters and findings as tags of a run, as far as tags go."""

from collections.abc import Mapping
from typing import Any

from lightning_app.delivery import limits


def as_tags(content: Mapping[str, Any]) -> dict[str, str]:
    """Names and texts as tags have them: nested names joined by dots, what is too long ends in ``...``."""
    return {_short(name, limits.TAG_NAME): _short(str(value), limits.TAG_VALUE) for name, value in _flat(content)}


def fitting(tags: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """Those, in their order, for which there is room beside the tags that the run has already."""
    free = limits.TAGS - len(there.keys() - tags.keys())
    return dict(list(tags.items())[: max(0, free)])


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in content.items():
        nested = isinstance(value, Mapping) and value
        flat += _flat(value, f"{prefix}{name}.") if nested else [(f"{prefix}{name}", value)]
    return flat


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
