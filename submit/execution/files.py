"""Files of the emulator, written to folders of this machine and never outside of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from submit.errors import SubmitError

_LONGEST_NAME = 255  # bytes, of usual file systems


def write_files(files: Mapping[str, bytes], folder: Path) -> Path:
    """Writes files into a folder, by their paths in it; returns the folder.

    Raises:
        SubmitError: A path leads out of the folder; nothing is written.
    """
    targets = {folder.joinpath(*safe_parts(path)): content for path, content in files.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for target, content in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


def safe_parts(path: str) -> Iterator[str]:
    """The names in a POSIX path that leads into a folder.

    Raises:
        SubmitError: It leads out of the folder, or a file system can't have such a name.
    """
    names = path.split("/")
    for name in names:
        if name in ("", ".", "..") or "\0" in name or len(name.encode(errors="replace")) > _LONGEST_NAME:
            raise SubmitError(
                f"{path!r:.100}: expected a path within the folder, its names of {_LONGEST_NAME} bytes at most"
            )
        yield name
