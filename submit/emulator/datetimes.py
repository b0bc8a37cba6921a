"""Times as the REST services write them."""

from datetime import datetime, timezone


def now() -> datetime:
    return datetime.now(timezone.utc)


def from_timestamp(seconds: float) -> datetime:
    """Of a count of seconds since 1970."""
    return datetime.fromtimestamp(seconds, timezone.utc)


def to_iso(when: datetime) -> str:
    """For example 2026-11-20T22:10:42.320115Z."""
    return when.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """Any number of decimals, as the client drops zeros at the end; ValueError unless it is UTC."""
    seconds, _, decimals = text.removesuffix("Z").partition(".")
    if not text.endswith("Z"):
        raise ValueError(f"{text!r} doesn't end in Z; expected a moment in UTC such as 2026-11-20T22:10:42.32Z")
    microseconds = int(decimals.ljust(6, "0")[:6])
    return datetime.fromisoformat(seconds).replace(microsecond=microseconds, tzinfo=timezone.utc)
