"""What Azure ML takes of a snapshot: https://learn.microsoft.com/azure/machine-learning/resource-limits-capacity"""

from collections import Counter

from submit.preflight.findings import Finding, error, listed, warning
from submit.preflight.snapshot import Snapshot

MEGABYTE = 1024 * 1024  # as azureml-core counts
MOST_BYTES = 300 * MEGABYTE
MOST_FILES = 2000
LARGE = 25 * MEGABYTE


def check_size(snapshot: Snapshot) -> list[Finding]:
    """Each run uploads its snapshot, and each node downloads it."""
    if snapshot.size > MOST_BYTES:
        return [error(f"{_told(snapshot)}; Azure ML takes 300 MB at most, so name what isn't needed in .amlignore")]
    if snapshot.size >= LARGE:
        return [warning(f"{_told(snapshot)}; code rarely needs 25 MB, so name what isn't needed in .amlignore")]
    return []


def check_count(snapshot: Snapshot) -> list[Finding]:
    count = len(snapshot.files)
    if count <= MOST_FILES:
        return []
    tops = Counter(name.partition("/")[0] for name in snapshot.files).most_common(3)
    most = ", ".join(f"{name!r} ({number:,})" for name, number in tops)
    return [
        error(
            f"snapshot: {count:,} files, most in {most}; Azure ML takes 2,000 at most, so name what "
            "isn't needed in .amlignore"
        )
    ]


def check_emptiness(snapshot: Snapshot) -> list[Finding]:
    if snapshot.files:
        return []
    return [error(f"snapshot of {str(snapshot.folder)!r}: no file is left to run; expected the project in that folder")]


def check_readable(snapshot: Snapshot) -> list[Finding]:
    if not snapshot.unreadable:
        return []
    names = listed(snapshot.unreadable)
    return [
        warning(f"snapshot: {names} can't be read, so azureml-core leaves it out; allow it, or name it in .amlignore")
    ]


def _told(snapshot: Snapshot) -> str:
    largest = ", ".join(f"{name!r} ({size / MEGABYTE:,.1f} MB)" for name, size in snapshot.largest())
    return f"snapshot: {snapshot.size / MEGABYTE:,.0f} MB, the largest files are {largest}"
