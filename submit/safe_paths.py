"""Paths that others have chosen: what the service calls a file leads into a folder here, and never out of it."""

from collections.abc import Iterator
from pathlib import Path

from submit.errors import SubmitError

_LONGEST_NAME = 255  # bytes, of usual file systems


def path_within(folder: Path, path: str) -> Path:
    """A POSIX path as a path below a folder.

    Raises:
        SubmitError: It leads out of the folder, or a file system can't have such a name.
    """
    return folder.joinpath(*_names(path))


def _names(path: str) -> Iterator[str]:
    for name in path.split("/"):
        # on Windows, backslashes and drives lead elsewhere as well
        leads_out = name in ("", ".", "..") or "\0" in name or Path(name).name != name
        if leads_out or len(name.encode(errors="replace")) > _LONGEST_NAME:
            raise SubmitError(
                f"{path!r:.100}: expected a path within the folder, its names of {_LONGEST_NAME} bytes at most"
            )
        yield name
