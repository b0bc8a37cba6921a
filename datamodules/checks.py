"""Checks of the numbers that a datamodule takes."""

from datamodules.errors import DataError


def require(flag: str, value: int, *, at_least: int) -> None:
    """Raises DataError unless ``value`` is large enough."""
    if value < at_least:
        raise DataError(f"{flag} {value}: expected a whole number of at least {at_least}")
