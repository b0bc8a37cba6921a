"""Files of a run, brought here: whole, verified, and no further than needed."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from submit.errors import ServiceError, SubmitError
from submit.runs import artifacts
from submit.runs.artifacts import Artifact, Blob, Properties
from submit.runs.logs import FOLDERS
from submit.runs.retry import retry

if TYPE_CHECKING:
    from azureml.core import Run

WHAT = {"checkpoints": ("outputs/checkpoints/",), "outputs": ("outputs/",), "logs": FOLDERS}
PART = ".part"

Result = TypeVar("Result")

_PIECE = 8 * 2**20
_PATIENCE = 120.0  # seconds in which a file may make no progress


@dataclass(frozen=True)
class File:
    """A file that is here now; ``md5`` is the service's, which the file has, or None where the service has none."""

    path: str
    size: int
    md5: str | None
    was_here: bool


def download(run: "Run", what: str, target: Path, tell: Callable[[str], None]) -> Iterator[File]:
    """Each file as soon as it is here; a file that is here and right isn't asked for again.

    Files come under a name that ends in ``PART``, piece by piece, and the next call goes on with it.

    Raises:
        SubmitError: The run has no such files, or they can't be written.
        ServiceError: Azure ML doesn't answer, or the file isn't what it should be.
    """
    names = retry(f"the files of {run.id}", lambda: artifacts.list_paths(run), _PATIENCE, tell)
    wanted = [name for name in names if name.startswith(WHAT[what])]
    if not wanted:
        raise SubmitError(f"run {run.id} has no {what}; it has {_shown(names)}")
    for name in wanted:
        yield _Transfer(run, name, _place(target, name), tell).file()


class _Transfer:
    """One file on its way."""

    def __init__(self, run: "Run", name: str, place: Path, tell: Callable[[str], None]) -> None:
        self._name = name
        self._place = place
        self._tell = tell
        self._artifact = Artifact(run, name)

    def file(self) -> File:
        there = self._ask(Blob.properties)
        was_here = _is(self._place, there)
        if not was_here:
            self._fetch(there)
        return File(self._name, there.size, there.md5, was_here)

    def _fetch(self, there: Properties) -> None:
        try:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            # the version in its name: pieces of two versions make no file
            part = self._place.with_name(f"{self._place.name}.{_letters(there.etag)}{PART}")
            for other in self._place.parent.glob(f"{_literal(self._place.name)}.*{PART}"):
                if other != part:
                    other.unlink()
            self._fill(part, there)
            if not _is(part, there):
                part.unlink()
                raise ServiceError(f"{self._name}: what came isn't what the service has; run the command once more")
            part.replace(self._place)
        except OSError as error:
            raise SubmitError(f"{self._place}: can't be written ({error.strerror})") from error

    def _fill(self, part: Path, there: Properties) -> None:
        with part.open("ab") as file:
            if file.tell() > there.size:
                file.truncate(0)
            while (begin := file.seek(0, 2)) < there.size:
                piece = self._ask(partial(Blob.read, start=begin, length=_PIECE, version=there.etag))
                if not piece:
                    raise ServiceError(f"{self._name}: ends after {begin:,} of {there.size:,} bytes")
                file.write(piece)
                file.flush()

    def _ask(self, question: Callable[[Blob], Result]) -> Result:
        return retry(self._name, lambda: self._artifact.ask(question), _PATIENCE, self._tell)


def _is(path: Path, there: Properties) -> bool:
    if not path.is_file() or path.stat().st_size != there.size:
        return False
    return there.md5 is None or _md5(path) == there.md5


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # which Azure has of files
    with path.open("rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def _place(target: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if ".." in parts or name.startswith("/"):
        raise ServiceError(f"the run has a file {name!r}, whose place is outside of {str(target)!r}")
    return target.joinpath(*parts)


def _shown(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" if names else "no files"


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
