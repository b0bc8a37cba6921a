"""Folders of this machine: the data, and what training writes to."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lightning_app.diagnosis.contradiction import Contradiction
from lightning_app.diagnosis.place import Row

_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mount:
    """Where a file system is in the tree, and of which type it is: ext4, fuse.blobfuse2, nfs."""

    point: Path
    kind: str


def mount_of(path: Path) -> Mount | None:
    """None where the system doesn't tell."""
    resolved = path.resolve()
    around = [mount for mount in _mounts() if resolved.is_relative_to(mount.point)]
    # of several at the same point the last one hides the others
    return max(reversed(around), key=lambda mount: len(mount.point.parts), default=None)


def data_rows(path: Path) -> list[Row]:
    if _unusable(path):
        return [("data", f"{path}: {_unusable(path)}")]
    mount = mount_of(path)
    if mount is None:
        return [("data", f"{path}, readable")]
    place = "a mount" if mount.point == path.resolve() else f"on {mount.point}"
    return [("data", f"{path}, readable, {place} ({mount.kind})")]


def unusable_data(path: Path) -> Contradiction | None:
    """Training has no fallback for data that it was told to use."""
    reason = _unusable(path)
    return Contradiction(f"--data_path {path}: {reason}", "give the folder of the data", fatal=True) if reason else None


def output_rows(folder: Path) -> list[Row]:
    there = _nearest(folder)
    mount = mount_of(there)
    kind = f" ({mount.kind})" if mount else ""
    return [("outputs", f"{folder.resolve()}: {shutil.disk_usage(there).free / 2**30:,.1f} GiB free{kind}")]


def unusable_outputs(folder: Path) -> Contradiction | None:
    if os.access(_nearest(folder), os.W_OK):
        return None
    what = f"{folder.resolve()} can't be written to"
    return Contradiction(what, "start elsewhere, or give training another --output_dir", fatal=True)


def _unusable(path: Path) -> str | None:
    if not path.exists():
        return "no such folder"
    try:
        next(iter(path.iterdir()), None)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _nearest(folder: Path) -> Path:
    """The folder, or what there is of the way to it."""
    return next(each for each in (folder.resolve(), *folder.resolve().parents) if each.exists())


def _mounts() -> Iterator[Mount]:
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        yield Mount(Path(_unescaped(before.split()[4])), after.split()[0])


def _unescaped(text: str) -> str:
    """Spaces in names are octal there."""
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), text)
