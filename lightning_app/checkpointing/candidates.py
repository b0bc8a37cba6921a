"""The checkpoints from which a run may continue, the newest first, and which of them can be used."""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from lightning_app.checkpointing.checkpoint_shape import require_resumable
from lightning_app.checkpointing.pickled_step import pickled_step
from lightning_app.checkpointing.sidecar import damage, read_sidecar, sidecar_path
from lightning_app.errors import UsageError
from lightning_app.run_folder import EARLIER, RunFolder

log = logging.getLogger(__name__)

_RETRY = re.compile(r"retry_\d{3}")  # how Azure ML names the folder of a job's next attempt


@dataclass(frozen=True)
class Candidate:
    """A checkpoint that exists.

    Args:
        path: The file.
        step: Optimizer steps in it, as far as that is known without loading it.
        folder: The run folder that it is in.
    """

    path: Path
    step: int
    folder: RunFolder


@dataclass(frozen=True)
class Rejected:
    """A candidate that can't be used.

    Args:
        path: The file.
        problem: Why, for a message.
        is_damaged: Whether its bytes aren't those that were written. Otherwise it can't be read
            or holds something else.
    """

    path: Path
    problem: str
    is_damaged: bool


@dataclass(frozen=True)
class Choice:
    """The newest candidate that can be used, with its content, and those before it that can't."""

    candidate: Candidate | None
    content: dict[str, Any]
    rejected: tuple[Rejected, ...] = ()


def candidates(*folders: RunFolder) -> list[Candidate]:
    """The checkpoints in run folders, the one with the most steps first; no file's time counts.

    Of equally many steps, the first folder's comes first, and ``last.ckpt`` before ``best.ckpt``.
    """
    found = [candidate for folder in folders for candidate in _in_folder(folder)]
    return sorted(found, key=lambda candidate: -candidate.step)


def attempts(folder: RunFolder) -> list[RunFolder]:
    """The folders that Azure ML may have given to other attempts of the same job, ``retry_001``, ``retry_002``, ...

    They are looked for in the run folder and in each folder around it, as far as the working directory: there the run
    folder has the same path within the attempt's folder, or it is that folder itself.
    """
    root, here, found = folder.root.absolute(), Path.cwd(), []
    around = [root, *(parent for parent in root.parents if parent.is_relative_to(here) or parent == root.parent)]
    for place in around:
        for attempt in sorted(_retries(place), reverse=True):
            found += [attempt, attempt / root.relative_to(place)]
    shown = (path.relative_to(here) if path.is_relative_to(here) else path for path in dict.fromkeys(found))
    return [RunFolder(path) for path in shown if RunFolder(path).last.parent.is_dir()]


def choose(found: Iterable[Candidate]) -> Choice:
    """The first candidate that can be used: only this one is loaded, and nothing but tensors and plain values of it."""
    rejected: list[Rejected] = []
    for candidate in found:
        path = candidate.path
        if problem := _unreadable(path):
            rejected.append(Rejected(path, f"can't be read ({problem})", is_damaged=False))
        elif problem := damage(path):
            rejected.append(Rejected(path, problem, is_damaged=True))
        else:
            try:
                content = read_checkpoint(path)
                require_resumable(path, content)
            except UsageError as error:
                problem = str(error).removeprefix(f"checkpoint {str(path)!r}: ")
                rejected.append(Rejected(path, problem, is_damaged=False))
            else:
                return Choice(candidate, content, tuple(rejected))
    return Choice(None, {}, tuple(rejected))


def set_aside(rejected: Iterable[Rejected], instead: str) -> None:
    """Renames checkpoints to ``NAME.damaged``, with a line for each; none is ever deleted.

    Args:
        rejected: The checkpoints.
        instead: What is used in their place.
    """
    for each in rejected:
        target = _free_name(each.path)
        try:
            if sidecar_path(each.path).exists():
                sidecar_path(each.path).rename(sidecar_path(target))
            each.path.rename(target)
            where = f"it is now {target.name}"
        except OSError as error:
            where = f"it can't be renamed ({error.strerror}) and stays"
        log.warning("%s: %s; %s, and %s.", each.path, each.problem, where, instead)


def _in_folder(folder: RunFolder) -> Iterator[Candidate]:
    """The last one, the earlier ones and the best one."""
    earlier = [(int(name[1]), path) for path in _files(folder) if (name := EARLIER.fullmatch(path.name))]
    steps = {path: _step(path, named) for named, path in sorted(earlier, reverse=True)}
    if folder.best.exists():
        steps[folder.best] = _step(folder.best, 0)
    if folder.last.exists():
        # one that doesn't say its step is damaged, and is judged first
        yield Candidate(folder.last, _step(folder.last, max(steps.values(), default=0)), folder)
    yield from (Candidate(path, step, folder) for path, step in steps.items())


def _step(path: Path, otherwise: int) -> int:
    sidecar = read_sidecar(path)
    try:
        if sidecar is not None and sidecar.bytes == path.stat().st_size:
            return sidecar.step
    except OSError:
        return otherwise
    found = pickled_step(path)
    return otherwise if found is None else found


def _files(folder: RunFolder) -> list[Path]:
    try:
        return list(folder.last.parent.iterdir())
    except OSError:
        return []


def _retries(place: Path) -> list[Path]:
    try:
        return [path for path in place.iterdir() if _RETRY.fullmatch(path.name) and path.is_dir()]
    except OSError:
        return []


def _unreadable(path: Path) -> str:
    """Why the file can't be opened; that says nothing about its content."""
    try:
        if path.is_dir():
            return "it is a folder"
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _free_name(path: Path) -> Path:
    target, number = path.with_name(f"{path.name}.damaged"), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{number}")
    return target
