"""Files that the training command needs and that the snapshot may lack."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from submit import program
from submit.preflight.findings import Finding, error, format_names
from submit.preflight.snapshot import Snapshot, ignore_file
from submit.training_flags import class_paths, file_arguments


def check_code(snapshot: Snapshot, arguments: Sequence[str]) -> list[Finding]:
    """Findings about modules that ``python -m lightning_app`` imports from the folder in which it runs."""
    own = [*_own_modules(snapshot.folder, arguments)]
    if not program.is_in(snapshot.folder):
        return [*_about_modules(snapshot, own), *_about_installed(snapshot.folder)]
    findings = _about_modules(snapshot, [*program.PACKAGES, *own])
    return [finding for finding in [*findings, _about(snapshot, "pyproject.toml", ["pyproject.toml"])] if finding]


def _about_modules(snapshot: Snapshot, modules: Iterable[str]) -> list[Finding]:
    found = [_about(snapshot, module, _code_of(snapshot.folder, module)) for module in dict.fromkeys(modules)]
    return [finding for finding in found if finding]


def _about_installed(folder: Path) -> Iterator[Finding]:
    """The program isn't in the folder: the environment has it, and nothing in the folder may hide it."""
    for package in program.PACKAGES:
        if (folder / package).exists() or (folder / f"{package}.py").exists():
            yield error(f"snapshot: {package!r} in {str(folder)!r} hides the program's package of that name; rename it")


def check_named_files(snapshot: Snapshot, arguments: Sequence[str]) -> list[Finding]:
    """Findings about files in the command: the job finds them by the same relative path or not at all."""
    return [
        finding
        for flag, value in file_arguments(arguments)
        if (finding := _about_file(snapshot, f"{flag} {value!r}", value))
    ]


def named_files(snapshot: Snapshot, arguments: Sequence[str]) -> set[str]:
    """The files of the snapshot that the command names."""
    names = {Path(os.path.normpath(value)).as_posix() for _, value in file_arguments(arguments)}
    return names & snapshot.files.keys()


def _own_modules(folder: Path, arguments: Sequence[str]) -> Iterable[str]:
    """The top-level modules of import paths that are in the folder; others are installed packages."""
    for path in class_paths(folder, arguments):
        top = path.partition(".")[0]
        if top != path and _code_of(folder, top):
            yield top


def _code_of(folder: Path, module: str) -> list[str]:
    files = [path for path in (folder / f"{module}.py",) if path.is_file()]
    files += [path for path in sorted((folder / module).rglob("*.py")) if "__pycache__" not in path.parts]
    return [path.relative_to(folder).as_posix() for path in files]


def _about(snapshot: Snapshot, what: str, names: Sequence[str]) -> Finding | None:
    missing = [name for name in names if name not in snapshot.files and _is_there(snapshot.folder / name)]
    if missing:
        return error(f"snapshot: the job needs {format_names(missing)}; remove it from {_ignored_by(snapshot)}")
    if not any(name in snapshot.files for name in names):
        return error(f"snapshot: the job needs {what!r}; expected it in {str(snapshot.folder)!r}")
    return None


def _about_file(snapshot: Snapshot, given: str, value: str) -> Finding | None:
    path = Path(value)
    name = Path(os.path.normpath(path)).as_posix()
    if path.is_absolute() or name.startswith("../"):
        return error(f"{given}: expected a path within the project, which is all that a job has; copy the file there")
    if not _is_there(snapshot.folder / path):
        return error(f"{given}: no such file in {str(snapshot.folder)!r}; expected a path from there")
    if name not in snapshot.files:
        return error(f"{given}: the snapshot doesn't have this file; remove it from {_ignored_by(snapshot)}")
    return None


def _is_there(path: Path) -> bool:
    return path.is_file()


def _ignored_by(snapshot: Snapshot) -> str:
    used = ignore_file(snapshot.folder)
    return used.name if used else "the unreadable files"
