"""Files of the emulator, written to folders of this machine and never outside of them."""

from collections.abc import Mapping
from pathlib import Path

from submit.safe_paths import path_within


def write_files(files: Mapping[str, bytes], folder: Path) -> Path:
    """Writes files into a folder, by their paths in it; returns the folder.

    Raises:
        SubmitError: A path leads out of the folder; nothing is written.
    """
    targets = {path_within(folder, path): content for path, content in files.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for target, content in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder
