"""Finds the image files in folders, and checks each of them once before it is used."""

import errno
import logging
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torchvision.datasets.folder import IMG_EXTENSIONS

from datamodules.errors import DataError
from datamodules.image_decoding import broken_image, unreadable_reason

log = logging.getLogger(__name__)

EXTENSIONS = (*IMG_EXTENSIONS, ".gif", ".jfif")
_IGNORED_NAMES = {"thumbs.db", "desktop.ini"}  # written by file managers; hidden files are ignored as well
_READERS = 16  # threads; on a mount, reading is mostly waiting, and decoding needs no interpreter lock
_WORTH_A_LINE = 5_000  # files: checking them may take a minute

Check = Callable[[Path], str | None]
"""From a file to the reason why it is no readable image, or None if it is one; threads call it at the same time."""

_Identity = tuple[int, int]
"""Device and number of a folder, however many names and links lead to it."""


@dataclass
class Files:
    """The files with the extension of an image, in the order of their names, and why others are no images."""

    images: list[Path] = field(default_factory=list)
    broken: dict[Path, str] = field(default_factory=dict)


def list_files(folder: Path, *, recursive: bool = True) -> Files:
    """The files in a folder; links are followed, hidden files and those of file managers are left out."""
    found = Files()
    _walk(folder, _around(folder), recursive, found)
    found.images.sort(key=lambda path: composed(str(path.relative_to(folder))))
    return found


def readable_images(
    files: Files, *, skip_broken: bool, trainer: pl.Trainer | None = None, check: Check = unreadable_reason
) -> set[Path]:
    """The files that can be decoded; ``files.broken`` has all others then, with the reasons.

    The processes of a node share the work. A file that one of them can't read is broken for all, so that all processes
    use the same images.

    Raises:
        DataError: A file can't be used, and ``skip_broken`` is false.
    """
    broken = files.broken
    broken |= _undecodable(files.images, trainer, check)
    for path, reason in sorted(broken.items()):
        if not skip_broken:
            raise broken_image(path, reason)
    if broken:
        path, reason = min(broken.items())
        log.info("Left out: %s, such as %r (%s).", _counted(len(broken)), str(path), reason)
    return set(files.images) - broken.keys()


def images_in(
    folder: Path,
    *,
    recursive: bool = True,
    skip_broken: bool,
    trainer: pl.Trainer | None = None,
    check: Check = unreadable_reason,
) -> Files:
    """The readable images of a folder in the order of their names, and the others; each file is decoded once.

    Raises:
        DataError: A file isn't a readable image, and ``skip_broken`` is false.
    """
    files = list_files(folder, recursive=recursive)
    readable = readable_images(files, skip_broken=skip_broken, trainer=trainer, check=check)
    return Files([path for path in files.images if path in readable], files.broken)


def class_folders(split: Path) -> dict[str, list[Path]]:
    """The folders of each class by name, in label order.

    Names that differ in the Unicode normalisation only are one class: a Mac may write an accent as a character of its
    own.

    Raises:
        DataError: There is no class, or a link or a name that can't be used.
    """
    folders: dict[str, list[Path]] = {}
    around = _around(split)
    for entry in sorted(split.iterdir()):
        if _is_ignored(entry.name):
            continue
        problem = _link_problem(entry, around) or _name_problem(entry)
        if problem:
            raise DataError(f"--data_path: {str(entry)!r} can't be used ({problem}); remove or rename it")
        if entry.is_dir():
            folders.setdefault(composed(entry.name), []).append(entry)
    return dict(sorted(folders.items()))


def composed(name: str) -> str:
    """A name with accents as most systems write them, as parts of letters (NFC)."""
    return unicodedata.normalize("NFC", name)


def _walk(folder: Path, around: frozenset[_Identity], recursive: bool, found: Files) -> None:
    try:
        entries = [Path(entry.path) for entry in os.scandir(folder) if not _is_ignored(entry.name)]
    except OSError as error:
        found.broken[folder] = error.strerror or str(error)
        return
    for path in entries:
        problem = _link_problem(path, around)
        if problem:
            found.broken[path] = problem
        elif path.is_dir():
            if recursive:
                _walk(path, around | {_identity(path)}, recursive, found)
        elif not path.is_file():
            found.broken[path] = "it is no regular file"
        elif path.suffix.lower() not in EXTENSIONS:
            found.broken[path] = f"its extension is none of {' '.join(EXTENSIONS)}"
        else:
            found.images.append(path)


def _link_problem(path: Path, around: frozenset[_Identity]) -> str | None:
    """Why a link, or what it leads to, can't be followed."""
    try:
        status = path.stat()
    except OSError as error:
        if error.errno == errno.ENOENT and path.is_symlink():
            return f"a link to {str(path.readlink())!r}, which doesn't exist"
        return error.strerror or str(error)
    if stat.S_ISDIR(status.st_mode) and (status.st_dev, status.st_ino) in around:
        return f"a link to {str(path.readlink())!r}, a folder around it" if path.is_symlink() else "a folder around it"
    return None


def _name_problem(path: Path) -> str | None:
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name isn't valid UTF-8"
    return None


def _around(folder: Path) -> frozenset[_Identity]:
    """The folder and all folders above it: a link to one of them would be followed without an end."""
    resolved = folder.resolve()
    return frozenset(_identity(path) for path in (resolved, *resolved.parents))


def _identity(path: Path) -> _Identity:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in _IGNORED_NAMES


def _undecodable(paths: Sequence[Path], trainer: pl.Trainer | None, check: Check) -> dict[Path, str]:
    if len(paths) >= _WORTH_A_LINE:
        log.info("Checking %s: each is decoded once.", _counted(len(paths)))
    if trainer is None or trainer.world_size == 1:
        return _checked(paths, check)
    own = _checked(share_of(paths, trainer), check)
    by_rank: list[Any] = [None] * trainer.world_size
    torch.distributed.all_gather_object(by_rank, own)
    return _merged(by_rank)


def share_of(paths: Sequence[Path], trainer: pl.Trainer | None) -> Sequence[Path]:
    """The files that this process checks; the processes of a node check all."""
    return paths if trainer is None else paths[trainer.local_rank :: trainer.num_devices]


def _merged(parts: Iterable[Mapping[Path, str]]) -> dict[Path, str]:
    return {path: reason for part in parts for path, reason in part.items()}


def _checked(paths: Sequence[Path], check: Check) -> dict[Path, str]:
    with ThreadPoolExecutor(_READERS) as readers:
        reasons = list(readers.map(check, paths))
    return {path: reason for path, reason in zip(paths, reasons, strict=True) if reason is not None}


def _counted(count: int) -> str:
    return f"{count:,} file{'s' * (count != 1)}"
