"""Copies of image files on the node's own disk, for mounts that take milliseconds to open a file."""

import hashlib
import json
import logging
import os
import shutil
import statistics
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from datamodules import generated
from datamodules.validation import DataError

log = logging.getLogger(__name__)

_THREADS = 32  # copying from a mount is mostly waiting
_SPARE = 2**30  # bytes of the disk that are left free
_AT_A_TIME = 2**23  # bytes
_SECONDS_BETWEEN_LINES = 10
_LIST = "copies.jsonl"
_FEW, _SAMPLE, _SLOW = 200, 24, 0.005  # files, files, seconds for a file


class Copy(NamedTuple):
    """A file that has been copied: the size and the time of the original, and the checksum of its content."""

    file: str
    bytes: int
    mtime_ns: int
    crc32: int


class StagedFiles:
    """The copies of files below a folder.

    Args:
        root: The folder with the originals.
        stage_dir: The folder for copies of this and other folders.
    """

    def __init__(self, root: Path, stage_dir: Path) -> None:
        self._root, self._folder = root, _folder(root, stage_dir)
        self._names = frozenset(_read_list(self._folder))

    def __call__(self, path: Path) -> Path | None:
        """The copy of a file, if there is one."""
        name = _name(path, self._root)
        return self._folder / name if name in self._names else None


def stage_files(root: Path, stage_dir: Path, paths: Sequence[Path]) -> None:
    """Copies the files, except those whose copy is whole and whose original has the same size and time as before.

    Copies of files that are no longer there are removed. What has no room is left out. A run that is killed continues
    where it was, because each copy is listed when it is complete.

    Args:
        root: The folder with the originals.
        stage_dir: The folder for copies, made if it doesn't exist.
        paths: Files below ``root``.

    Raises:
        DataError: Nothing can be written to ``stage_dir``.
    """
    folder = _folder(root, stage_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with generated.node_lock(folder), ThreadPoolExecutor(_THREADS) as threads:
            whole = _whole_copies(folder, root, threads)
            _write_list(folder, whole)
            _remove_others(folder, whole)
            missing = [path for path in paths if _name(path, root) not in whole]
            if missing:
                _copy_all(missing, root, folder, threads)
            else:
                log.info("All %s files of %r are in %r already.", f"{len(paths):,}", str(root), str(folder))
    except OSError as error:
        raise DataError(
            f"--data.stage_dir {str(stage_dir)!r}: can't be used ({error.strerror or error}); give a folder on this "
            "node's disk"
        ) from error


def advice(paths: Sequence[Path]) -> str | None:
    """A line about ``--data.stage_dir`` if opening and reading files takes long; measured with some of them."""
    if len(paths) < _FEW:
        return None
    times = []
    for path in paths[:: len(paths) // _SAMPLE][:_SAMPLE]:
        start = time.perf_counter()
        with suppress(OSError):
            path.read_bytes()
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    if median < _SLOW:
        return None
    return (
        f"Reading an image file takes {1000 * median:.0f} ms (median of {len(times)}), so the disk or mount of "
        "--data_path limits the speed. --data.stage_dir DIR copies the files to this node's disk, once."
    )


def _folder(root: Path, stage_dir: Path) -> Path:
    return stage_dir / f"{root.resolve().name}-{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]}"


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _whole_copies(folder: Path, root: Path, threads: ThreadPoolExecutor) -> dict[str, Copy]:
    def is_whole(copy: Copy) -> bool:
        try:
            original = (root / copy.file).stat()
            is_current = (copy.bytes, copy.mtime_ns) == (original.st_size, original.st_mtime_ns)
            return is_current and _checksum(folder / copy.file) == copy.crc32
        except OSError:
            return False

    copies = list(_read_list(folder).values())
    return {copy.file: copy for copy, whole in zip(copies, threads.map(is_whole, copies), strict=True) if whole}


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while part := file.read(_AT_A_TIME):
            checksum = zlib.crc32(part, checksum)
    return checksum


def _remove_others(folder: Path, whole: Mapping[str, Copy]) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if _name(path, folder) not in whole and name != _LIST:
                path.unlink()


def _copy_all(paths: Sequence[Path], root: Path, folder: Path, threads: ThreadPoolExecutor) -> None:
    fitting, total = _fitting(paths, folder, threads)
    if len(fitting) < len(paths):
        log.warning(
            "%s of %s files don't fit into %r and are read from %r.",
            f"{len(paths) - len(fitting):,}", f"{len(paths):,}", str(folder), str(root),
        )  # fmt: skip
    log.info("Copying %s files (%.2f GB) from %r to %r.", f"{len(fitting):,}", total / 2**30, str(root), str(folder))
    start = line = time.monotonic()
    count = done = 0
    with (folder / _LIST).open("a") as listed:
        for copy in _copies(fitting, root, folder, threads):
            listed.write(_line(copy))
            count, done = count + 1, done + copy.bytes
            if time.monotonic() - line > _SECONDS_BETWEEN_LINES:
                listed.flush()
                line = time.monotonic()
                speed = done / 2**20 / (line - start)
                log.info("Copied %s of %s files, %.0f MB a second.", f"{count:,}", f"{len(fitting):,}", speed)
    log.info("Copied %s files in %.0f s.", f"{count:,}", time.monotonic() - start)


def _fitting(paths: Sequence[Path], folder: Path, threads: ThreadPoolExecutor) -> tuple[list[Path], int]:
    """The first files, as many as there is room for, and their bytes."""
    room, total = shutil.disk_usage(folder).free - _SPARE, 0
    fitting = []
    for path, size in zip(paths, threads.map(_size, paths), strict=True):
        if total + size <= room:
            fitting.append(path)
            total += size
    return fitting, total


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the check of the images will name it


def _copies(paths: Sequence[Path], root: Path, folder: Path, threads: ThreadPoolExecutor) -> Iterator[Copy]:
    for parent in {(folder / _name(path, root)).parent for path in paths}:
        parent.mkdir(parents=True, exist_ok=True)

    def copied(path: Path) -> Copy | None:
        return _copy(path, root, folder)

    yield from (copy for copy in threads.map(copied, paths) if copy)


def _copy(path: Path, root: Path, folder: Path) -> Copy | None:
    """Copies one file; None if that fails, so that the original is read."""
    name = _name(path, root)
    target, unfinished = folder / name, (folder / name).with_name(f".{path.name}.part")
    checksum = 0
    try:
        with path.open("rb") as source, unfinished.open("wb") as file:
            status = os.fstat(source.fileno())
            while part := source.read(_AT_A_TIME):
                checksum = zlib.crc32(part, checksum)
                file.write(part)
        unfinished.replace(target)
    except OSError:
        unfinished.unlink(missing_ok=True)
        return None
    return Copy(name, status.st_size, status.st_mtime_ns, checksum)


def _line(copy: Copy) -> str:
    return json.dumps(copy._asdict()) + "\n"


def _read_list(folder: Path) -> dict[str, Copy]:
    copies = {}
    with suppress(FileNotFoundError):
        for line in (folder / _LIST).read_text().splitlines():
            with suppress(ValueError, TypeError):  # the last line of a process that was killed
                copy = Copy(**json.loads(line))
                copies[copy.file] = copy
    return copies


def _write_list(folder: Path, copies: Mapping[str, Copy]) -> None:
    unfinished = folder / f".{_LIST}.part"
    unfinished.write_text("".join(map(_line, copies.values())))
    unfinished.replace(folder / _LIST)
