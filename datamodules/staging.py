"""Copies of image files on the node's own disk, for mounts that take milliseconds to open a file."""

import hashlib
import json
import logging
import os
import shutil
import statistics
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from filelock import BaseFileLock

from datamodules import generated
from datamodules.errors import DataError

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
    """Copies of files below a folder: from a file to its copy, which may be missing.

    The processes of a node share the work. One of them calls ``prepare``; then each copies some files while it reads
    them.

    Args:
        root: The folder with the originals.
        stage_dir: The folder for copies of this and other folders, made if it doesn't exist.
    """

    def __init__(self, root: Path, stage_dir: Path) -> None:
        self._root, self._stage_dir, self._folder = root, stage_dir, _folder(root, stage_dir)
        self._pending: dict[Path, Future[None]] = {}
        self._lock: BaseFileLock | None = None

    def __call__(self, path: Path) -> Path:
        """Where the copy is if there is one; waits while the file is being copied."""
        if path in self._pending:
            self._pending[path].result()
        return self._folder / _name(path, self._root)

    def __reduce__(self) -> tuple[Any, ...]:
        return StagedFiles, (self._root, self._stage_dir)

    def prepare(self) -> None:
        """Removes copies that aren't whole, and those whose original is gone or has another size or time.

        Another run of this node waits here until all files are copied.

        Raises:
            DataError: Nothing can be written to ``stage_dir``.
        """
        with self._errors(), ThreadPoolExecutor(_THREADS) as threads:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = generated.node_lock(self._folder)
            self._lock.acquire()
            whole = _whole_copies(self._folder, self._root, threads)
            _write_list(self._folder, whole)
            _remove_others(self._folder, whole)

    @contextmanager
    def copying(self, paths: Sequence[Path], processes: int = 1) -> Iterator[None]:
        """Copies files in the background until the block ends, in their order, except those that are there.

        What has no room is left out. A run that is killed continues where it was, because each copy is listed when it
        is complete.

        Args:
            paths: Files below ``root``, those of this process.
            processes: How many processes of this node copy.

        Raises:
            DataError: Nothing can be written to ``stage_dir``.
        """
        threads = ThreadPoolExecutor(_THREADS)
        try:
            with self._errors():
                fitting = self._make_room(paths, processes, threads)
                listed = (self._folder / _LIST).open("a", buffering=1)  # by whole lines, as several processes write
            with listed:
                progress = _Progress(len(fitting), listed)
                copy = partial(_copy_and_list, root=self._root, folder=self._folder, progress=progress)
                self._pending = {path: threads.submit(copy, path) for path in fitting}
                yield
                threads.shutdown()
                progress.say_end()
        finally:
            threads.shutdown(cancel_futures=True)
            self._pending = {}
            if self._lock is not None:
                self._lock.release()

    def _make_room(self, paths: Sequence[Path], processes: int, threads: ThreadPoolExecutor) -> list[Path]:
        """The files to copy, whose folders are there."""
        root, folder = str(self._root), str(self._folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        missing = [path for path in paths if not self(path).exists()]
        fitting, total = _fitting(missing, shutil.disk_usage(self._folder).free // processes, threads)
        for parent in {self(path).parent for path in fitting}:
            parent.mkdir(parents=True, exist_ok=True)
        if paths and not missing:
            log.info("The files of %r are in %r already.", root, folder)
        if len(fitting) < len(missing):
            unfit = len(missing) - len(fitting)
            log.warning("%s files don't fit into %r and are read from %r.", f"{unfit:,}", folder, root)
        if fitting:
            log.info("Copying %s files (%.2f GB) from %r to %r.", f"{len(fitting):,}", total / 2**30, root, folder)
        return fitting

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"--data.stage_dir {str(self._stage_dir)!r}: can't be used ({error.strerror or error}); give a folder "
                "on this node's disk"
            ) from error


class _Progress:
    """Lists copies, and says from time to time how many there are."""

    def __init__(self, files: int, listed: TextIO) -> None:
        self._files, self._listed, self._lock = files, listed, threading.Lock()
        self._start = self._line = time.monotonic()
        self._count = self._bytes = 0

    def add(self, copy: Copy) -> None:
        with self._lock:
            self._listed.write(_line(copy))
            self._count, self._bytes = self._count + 1, self._bytes + copy.bytes
            now = time.monotonic()
            if now - self._line > _SECONDS_BETWEEN_LINES:
                self._line = now
                speed = self._bytes / 2**20 / (now - self._start)
                log.info("Copied %s of %s files, %.0f MB a second.", f"{self._count:,}", f"{self._files:,}", speed)

    def say_end(self) -> None:
        if self._files:
            log.info("Copied %s files in %.0f s.", f"{self._count:,}", time.monotonic() - self._start)


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


def _fitting(paths: Sequence[Path], free: int, threads: ThreadPoolExecutor) -> tuple[list[Path], int]:
    """The first files, as many as there is room for, and their bytes."""
    total, fitting = 0, []
    for path, size in zip(paths, threads.map(_size, paths), strict=True):
        if total + size <= free - _SPARE:
            fitting.append(path)
            total += size
    return fitting, total


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # the check of the images will name it


def _copy_and_list(path: Path, root: Path, folder: Path, progress: _Progress) -> None:
    if copy := _copy(path, root, folder):
        with suppress(OSError):  # what isn't listed is copied again by the next run
            progress.add(copy)


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
