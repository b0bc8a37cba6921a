"""Whether a checkpoint is whole. Nothing of it is unpickled for that."""

import zipfile
from functools import lru_cache
from pathlib import Path


def damage(checkpoint: Path) -> str:
    """What is wrong with the file, for a message; empty if it is whole."""
    try:
        status = checkpoint.stat()
        if checkpoint.is_dir():
            return "it is a folder"
        if not status.st_size:
            return "it is empty"
        return _damage_by_checksums(checkpoint, status.st_mtime_ns, status.st_size)
    except OSError as error:
        return error.strerror or str(error)


@lru_cache(maxsize=8)  # a command reads a checkpoint several times
def _damage_by_checksums(path: Path, changed: int, size: int) -> str:
    """torch.save writes a zip file, which has a checksum of each part: about 1 GB a second."""
    if not zipfile.is_zipfile(path):
        return "it is truncated, or not a checkpoint"
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except Exception:  # damage in the table of contents makes errors of many kinds
        damaged = "contents"
    return "it is damaged: its checksum is wrong" if damaged else ""
