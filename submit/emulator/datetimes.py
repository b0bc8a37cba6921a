"""Times as the REST services write them."""

from datetime import datetime, timezone


def now() -> datetime:
    return datetime.now(timezone.utc)


def from_timestamp(seconds: float) -> datetime:
    """From seconds since 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def to_iso(when: datetime) -> str:
    """For example 2026-11-20T22:10:42.320115Z."""
    return when.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """Takes any number of decimals, because the client drops trailing zeros.

    Raises:
        ValueError: The time isn't in UTC.
    """
    seconds, _, decimals = text.removesuffix("Z").partition(".")
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} doesn't end in Z; expected a time in UTC such as 2026-11-20T22:10:42.32Z")
    microseconds = int(decimals.ljust(6, "0")[:6])
    return datetime.fromisoformat(seconds).replace(microsecond=microseconds, tzinfo=timezone.utc)
