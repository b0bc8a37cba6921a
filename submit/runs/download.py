"""Downloads files of a run: complete, verified, and continued after an interruption."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from submit.errors import ServiceError, SubmitError
from submit.interface import Properties, Run
from submit.runs.logs import FOLDERS
from submit.runs.retry import retry
from submit.runs.run_folders import files_of_checkpoints, folders_with_checkpoints
from submit.safe_paths import path_within

_FOLDERS = {"outputs": ("outputs/",), "logs": FOLDERS}
PART = ".part"

Result = TypeVar("Result")

_PIECE = 8 * 2**20
_TIMEOUT = 120.0  # seconds without progress of a file


@dataclass(frozen=True)
class File:
    """A downloaded file; ``md5`` is the service's digest, or None if it has none."""

    path: str
    size: int
    md5: str | None
    existed: bool


def download(run: Run, what: str, target: Path, warn: Callable[[str], None]) -> Iterator[File]:
    """Downloads files and yields each one when it is complete; a correct local file is kept.

    A file is written under a name that ends in ``PART``; the next call continues it.

    Args:
        run: The run.
        what: ``outputs``, ``logs``, or ``checkpoints``: those of the job's last attempt, with the ``config.yaml`` that
            names their class.
        target: The folder.
        warn: Gets a line before the service is asked again.

    Raises:
        SubmitError: The run has no such files, or a file can't be written.
        ServiceError: Azure ML doesn't respond, or a file arrives damaged.
    """
    names = file_names(run, warn)
    if what == "checkpoints":
        wanted = [name for folder in folders_with_checkpoints(names) for name in files_of_checkpoints(names, folder)]
    else:
        wanted = [name for name in names if name.startswith(_FOLDERS[what])]
    if not wanted:
        raise SubmitError(f"run {run.id} has no {what}; it has {few(names)}")
    yield from fetch(run, wanted, target, warn)


def file_names(run: Run, warn: Callable[[str], None]) -> Sequence[str]:
    """The names of all files of a run.

    Raises:
        ServiceError: Azure ML doesn't respond.
    """
    return retry(f"the files of {run.id}", run.paths, _TIMEOUT, warn)


def fetch(run: Run, names: Sequence[str], target: Path, warn: Callable[[str], None]) -> Iterator[File]:
    """As ``download``, for files of these names."""
    for name, path in [(name, _target_path(target, name)) for name in names]:
        yield _Transfer(run, name, path, warn).file()


class _Transfer:
    """The download of one file."""

    def __init__(self, run: Run, name: str, target: Path, warn: Callable[[str], None]) -> None:
        self._name = name
        self._target = target
        self._warn = warn
        self._file = run.file(name)

    def file(self) -> File:
        remote = self._request(self._file.properties)
        existed = _is_complete(self._target, remote)
        if not existed:
            self._fetch(remote)
        return File(self._name, remote.size, remote.md5, existed)

    def _fetch(self, remote: Properties) -> None:
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            # its name has the version, so that parts of two versions are never joined
            part = self._target.with_name(f"{self._target.name}.{_alphanumeric(remote.etag)}{PART}")
            for other in self._target.parent.glob(f"{_escape_glob(self._target.name)}.*{PART}"):
                if other != part:
                    other.unlink()
            self._fill(part, remote)
            if not _is_complete(part, remote):
                part.unlink()
                raise ServiceError(f"{self._name}: the download is damaged; run the command again")
            part.replace(self._target)
        except OSError as error:
            raise SubmitError(f"{self._target}: can't be written ({error.strerror})") from error

    def _fill(self, part: Path, remote: Properties) -> None:
        with part.open("ab") as file:
            if file.tell() > remote.size:
                file.truncate(0)
            while (begin := file.seek(0, 2)) < remote.size:
                piece = self._request(partial(self._file.read, start=begin, length=_PIECE, version=remote.etag))
                if not piece:
                    raise ServiceError(f"{self._name}: ended after {begin:,} of {remote.size:,} bytes")
                file.write(piece)
                file.flush()

    def _request(self, action: Callable[[], Result]) -> Result:
        return retry(self._name, action, _TIMEOUT, self._warn)


def _is_complete(path: Path, remote: Properties) -> bool:
    if not path.is_file() or path.stat().st_size != remote.size:
        return False
    return remote.md5 is None or _md5(path) == remote.md5


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # the digest that Azure stores
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def _target_path(target: Path, name: str) -> Path:
    try:
        return path_within(target, name)
    except SubmitError as error:
        raise ServiceError(f"the run has a file that can't be written to {str(target)!r}: {error}") from error


def few(names: Sequence[str], most: int = 5) -> str:
    """Some of the names, for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" if names else "no files"


def _alphanumeric(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _escape_glob(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
