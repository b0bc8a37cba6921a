"""Checks of a snapshot: its size, its links, its ignore files, and what doesn't belong in it."""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from submit.preflight.findings import Finding, error, format_names, warning
from submit.preflight.snapshot import AML_IGNORE, GIT_IGNORE, Snapshot, ignore_file, patterns

MEGABYTE = 1024 * 1024  # as azureml-core counts
MAX_BYTES = 300 * MEGABYTE
MAX_FILES = 2000
LARGE = 25 * MEGABYTE


def check_size(snapshot: Snapshot) -> list[Finding]:
    """Each run uploads its snapshot, and each node downloads it."""
    if snapshot.size > MAX_BYTES:
        return [error(f"{_size_text(snapshot)}; Azure ML accepts 300 MB at most; add what isn't needed to .amlignore")]
    if snapshot.size >= LARGE:
        return [warning(f"{_size_text(snapshot)}; code rarely needs 25 MB; add what isn't needed to .amlignore")]
    return []


def check_count(snapshot: Snapshot) -> list[Finding]:
    count = len(snapshot.files)
    if count <= MAX_FILES:
        return []
    tops = Counter(name.partition("/")[0] for name in snapshot.files).most_common(3)
    most = ", ".join(f"{name!r} ({number:,})" for name, number in tops)
    return [
        error(
            f"snapshot: {count:,} files, most in {most}; Azure ML accepts 2,000 at most; add what "
            "isn't needed to .amlignore"
        )
    ]


def check_emptiness(snapshot: Snapshot) -> list[Finding]:
    if snapshot.files:
        return []
    return [error(f"snapshot of {str(snapshot.folder)!r}: it has no files; expected the project in that folder")]


def check_readable(snapshot: Snapshot) -> list[Finding]:
    if not snapshot.unreadable:
        return []
    names = format_names(snapshot.unreadable)
    return [
        warning(
            f"snapshot: {names} can't be read, so {snapshot.package} leaves it out; make it readable, or add it to "
            ".amlignore"
        )
    ]


def _size_text(snapshot: Snapshot) -> str:
    largest = ", ".join(f"{name!r} ({size / MEGABYTE:,.1f} MB)" for name, size in snapshot.largest())
    return f"snapshot: {snapshot.size / MEGABYTE:,.0f} MB, the largest files are {largest}"


MAX_IMAGES = 1000
_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
_CHECKPOINTS = {".ckpt", ".pt", ".pth", ".safetensors", ".onnx"}
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")  # of venv and virtualenv, and of conda


def check_git(snapshot: Snapshot) -> list[Finding]:
    """``.git`` has the whole history and the address of the remote with its token; in a worktree it is a file."""
    found = sorted({_up_to(name, ".git") for name in snapshot.files if ".git" in PurePosixPath(name).parts})
    if not found:
        return []
    return [
        error(
            f"snapshot: {format_names(found)} would be uploaded, with history and addresses; add '.git' to .amlignore"
        )
    ]


def check_virtual_environments(snapshot: Snapshot) -> list[Finding]:
    """A virtual environment is recognised by its content, under any name."""
    marked = {name for name in snapshot.folders() if _is_environment(snapshot.folder / name)}
    return [
        error(f"snapshot: {name!r} is a virtual environment; jobs have their own; add {name!r} to .amlignore")
        for name in sorted(marked)
        if not marked & {parent.as_posix() for parent in PurePosixPath(name).parents}
    ]


def check_runs(snapshot: Snapshot) -> list[Finding]:
    """Results of earlier runs: the job's training would find and resume them."""
    findings = []
    if any(name.startswith("outputs/") for name in snapshot.files):
        findings.append(
            error("snapshot: 'outputs' is an earlier run, which the job would resume; add it to .amlignore")
        )
    if any(name.startswith("logs/") for name in snapshot.files):
        findings.append(warning("snapshot: 'logs' would appear among the job's own logs; add it to .amlignore"))
    return findings


def check_caches(snapshot: Snapshot) -> list[Finding]:
    found = sorted({_up_to(name, "__pycache__") for name in snapshot.files if "/__pycache__/" in f"/{name}"})
    if not found:
        return []
    return [warning(f"snapshot: {format_names(found)} would be uploaded; add '__pycache__' to .amlignore")]


def check_images(snapshot: Snapshot) -> list[Finding]:
    """Folders of images are data, which jobs read from a mount."""
    images = [name for name in snapshot.files if Path(name).suffix.lower() in _IMAGES and "/" in name]
    counts = Counter(name.partition("/")[0] for name in images)
    return [
        warning(
            f"snapshot: {_common(images, top)!r} holds {count:,} images; upload data once with `submit upload`, and "
            "add the folder to .amlignore"
        )
        for top, count in sorted(counts.items())
        if count > MAX_IMAGES
    ]


def check_checkpoints(snapshot: Snapshot, needed: Collection[str] = ()) -> list[Finding]:
    """Checkpoints that the command doesn't name."""
    unasked = set(snapshot.files) - set(needed)
    found = sorted(name for name in unasked if Path(name).suffix.lower() in _CHECKPOINTS)
    if not found:
        return []
    return [
        warning(f"snapshot: {format_names(found)} looks like a checkpoint; add it to .amlignore if jobs don't need it")
    ]


def _is_environment(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _ENVIRONMENT_MARKS)


def _up_to(name: str, part: str) -> str:
    """``a/.git`` of ``a/.git/config``"""
    parts = PurePosixPath(name).parts
    return "/".join(parts[: parts.index(part) + 1])


def _common(images: Collection[str], top: str) -> str:
    """The deepest folder with all images of a top folder."""
    return os.path.commonpath([str(PurePosixPath(name).parent) for name in images if name.startswith(f"{top}/")])


def check_links(snapshot: Snapshot) -> list[Finding]:
    return [*_ignored_links(snapshot), *_links_outside(snapshot), *_links_inside(snapshot)]


def check_impossible(snapshot: Snapshot) -> list[Finding]:
    """Paths at which the SDK fails, before anything is sent."""
    return [
        error(f"snapshot: {name!r} is {reason}, at which {snapshot.package} fails; repair it, or add it to .amlignore")
        for name, reason in snapshot.impossible.items()
    ]


def _ignored_links(snapshot: Snapshot) -> list[Finding]:
    """azure-ai-ml 1.35 applies ignore files to the files in a linked folder, by their real paths, not to the link."""
    root = snapshot.folder.resolve()
    return [
        error(
            f"snapshot: {name!r} is a link to a folder, which {snapshot.package} uploads although it is ignored; "
            "remove the link"
        )
        for name in snapshot.ignored_links
        if not snapshot.links[name].is_relative_to(root) or any(file.startswith(f"{name}/") for file in snapshot.files)
    ]


def _links_outside(snapshot: Snapshot) -> list[Finding]:
    root = snapshot.folder.resolve()
    return [
        error(
            f"snapshot: {name!r} is a link to {str(target)!r}, whose content would be uploaded; expected links within "
            f"{str(snapshot.folder)!r}: add it to .amlignore or copy what the job needs"
        )
        for name, target in snapshot.links.items()
        if not target.is_relative_to(root) and name not in {*snapshot.impossible, *snapshot.ignored_links}
    ]


def _links_inside(snapshot: Snapshot) -> list[Finding]:
    root = snapshot.folder.resolve()
    return [
        warning(f"snapshot: {name!r} is a link; {target.relative_to(root).as_posix()!r} is uploaded instead")
        for name, target in snapshot.links.items()
        if target.is_relative_to(root) and name not in {*snapshot.impossible, *snapshot.ignored_links}
    ]


def check_ignore_file(snapshot: Snapshot) -> list[Finding]:
    used = ignore_file(snapshot.folder)
    if used is None:
        return [warning(f"{AML_IGNORE}: there is none, so everything is uploaded, even .git; write one")]
    if used.name == GIT_IGNORE:
        return [warning(f"{AML_IGNORE}: there is none, so {GIT_IGNORE} is used, and .git is uploaded; write one")]
    return []


def check_nested(snapshot: Snapshot) -> list[Finding]:
    """The SDKs read only the ignore file in the snapshot's root."""
    nested = [name for name in snapshot.files if name.endswith((f"/{AML_IGNORE}", f"/{GIT_IGNORE}"))]
    effective = [name for name in nested if patterns(snapshot.folder / name)]
    if not effective:
        return []
    return [
        warning(f"{format_names(effective)}: {snapshot.package} doesn't read it; put its patterns into ./{AML_IGNORE}")
    ]


def check_patterns(snapshot: Snapshot) -> list[Finding]:
    """In the SDKs, unlike git, ``!name/`` doesn't include a folder again that ``name`` has excluded."""
    used = ignore_file(snapshot.folder)
    ineffective = [line for line in patterns(used) if line.startswith("!") and line.endswith("/") and "**" not in line]
    return [
        warning(f"{used.name}: {line!r} includes no ignored folder in {snapshot.package}; write {line.rstrip('/')!r}")
        for line in ineffective
        if used
    ]


CHECKS = (
    *(check_size, check_count, check_emptiness, check_readable, check_links),
    *(check_ignore_file, check_nested, check_patterns),
    *(check_git, check_virtual_environments, check_runs, check_caches, check_images),
)
