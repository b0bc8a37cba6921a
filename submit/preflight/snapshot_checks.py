"""Checks of a snapshot: its size, its links, its ignore files, and what doesn't belong in it."""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from submit.preflight.findings import Finding, error, format_names, warning
from submit.preflight.snapshot import AML_IGNORE, GIT_IGNORE, Snapshot, ignore_file, patterns

MEGABYTE = 1024 * 1024  # as azureml-core counts
MOST_BYTES = 300 * MEGABYTE
MOST_FILES = 2000
LARGE = 25 * MEGABYTE


def check_size(snapshot: Snapshot) -> list[Finding]:
    """Each run uploads its snapshot, and each node downloads it."""
    if snapshot.size > MOST_BYTES:
        return [
            error(f"{_size_text(snapshot)}; Azure ML takes 300 MB at most, so name what isn't needed in .amlignore")
        ]
    if snapshot.size >= LARGE:
        return [warning(f"{_size_text(snapshot)}; code rarely needs 25 MB, so name what isn't needed in .amlignore")]
    return []


def check_count(snapshot: Snapshot) -> list[Finding]:
    count = len(snapshot.files)
    if count <= MOST_FILES:
        return []
    tops = Counter(name.partition("/")[0] for name in snapshot.files).most_common(3)
    most = ", ".join(f"{name!r} ({number:,})" for name, number in tops)
    return [
        error(
            f"snapshot: {count:,} files, most in {most}; Azure ML takes 2,000 at most, so name what "
            "isn't needed in .amlignore"
        )
    ]


def check_emptiness(snapshot: Snapshot) -> list[Finding]:
    if snapshot.files:
        return []
    return [error(f"snapshot of {str(snapshot.folder)!r}: no file is left to run; expected the project in that folder")]


def check_readable(snapshot: Snapshot) -> list[Finding]:
    if not snapshot.unreadable:
        return []
    names = format_names(snapshot.unreadable)
    return [
        warning(f"snapshot: {names} can't be read, so azureml-core leaves it out; allow it, or name it in .amlignore")
    ]


def _size_text(snapshot: Snapshot) -> str:
    largest = ", ".join(f"{name!r} ({size / MEGABYTE:,.1f} MB)" for name, size in snapshot.largest())
    return f"snapshot: {snapshot.size / MEGABYTE:,.0f} MB, the largest files are {largest}"


MOST_IMAGES = 1000
_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
_CHECKPOINTS = {".ckpt", ".pt", ".pth", ".safetensors", ".onnx"}
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")  # of venv and virtualenv, and of conda


def check_git(snapshot: Snapshot) -> list[Finding]:
    """``.git`` holds all history and the address of the remote with its token; a worktree's is a file."""
    found = sorted({_up_to(name, ".git") for name in snapshot.files if ".git" in PurePosixPath(name).parts})
    if not found:
        return []
    return [
        error(
            f"snapshot: {format_names(found)} would be uploaded, with history and addresses; add '.git' to .amlignore"
        )
    ]


def check_virtual_environments(snapshot: Snapshot) -> list[Finding]:
    """A virtual environment is known by what is in it, whatever its name."""
    marked = {name for name in snapshot.folders() if _is_environment(snapshot.folder / name)}
    return [
        error(f"snapshot: {name!r} is a virtual environment; jobs have their own, so add {name!r} to .amlignore")
        for name in sorted(marked)
        if not marked & {parent.as_posix() for parent in PurePosixPath(name).parents}
    ]


def check_runs(snapshot: Snapshot) -> list[Finding]:
    """Results of earlier runs: the job's training would find them and go on from there."""
    findings = []
    if any(name.startswith("outputs/") for name in snapshot.files):
        findings.append(
            error("snapshot: 'outputs' is an earlier run, with which the job would go on; add it to .amlignore")
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
    """Folders of images are data; jobs read data from a mount."""
    images = [name for name in snapshot.files if Path(name).suffix.lower() in _IMAGES and "/" in name]
    counts = Counter(name.partition("/")[0] for name in images)
    return [
        warning(
            f"snapshot: {_common(images, top)!r} holds {count:,} images; upload data once with `submit upload`, and "
            "name the folder in .amlignore"
        )
        for top, count in sorted(counts.items())
        if count > MOST_IMAGES
    ]


def check_checkpoints(snapshot: Snapshot, needed: Collection[str] = ()) -> list[Finding]:
    """Weights that the command doesn't ask for."""
    unasked = set(snapshot.files) - set(needed)
    found = sorted(name for name in unasked if Path(name).suffix.lower() in _CHECKPOINTS)
    if not found:
        return []
    return [
        warning(f"snapshot: {format_names(found)} looks like a checkpoint; name it in .amlignore if jobs don't need it")
    ]


def _is_environment(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _ENVIRONMENT_MARKS)


def _up_to(name: str, part: str) -> str:
    """``a/.git`` of ``a/.git/config``"""
    parts = PurePosixPath(name).parts
    return "/".join(parts[: parts.index(part) + 1])


def _common(images: Collection[str], top: str) -> str:
    """The deepest folder that has all images below a top folder."""
    return os.path.commonpath([str(PurePosixPath(name).parent) for name in images if name.startswith(f"{top}/")])


def check_links(snapshot: Snapshot) -> list[Finding]:
    return [*_leading_out(snapshot), *_within(snapshot)]


def check_impossible(snapshot: Snapshot) -> list[Finding]:
    """What azureml-core ends at with an exception, when the job has been described and nothing has been sent."""
    return [
        error(f"snapshot: {name!r} is {reason}, at which azureml-core would end; mend it, or name it in .amlignore")
        for name, reason in snapshot.impossible.items()
    ]


def _leading_out(snapshot: Snapshot) -> list[Finding]:
    root = snapshot.folder.resolve()
    return [
        error(
            f"snapshot: {name!r} is a link to {str(target)!r}, whose content would be uploaded; expected links within "
            f"{str(snapshot.folder)!r}, so name it in .amlignore or copy what the job needs"
        )
        for name, target in snapshot.links.items()
        if not target.is_relative_to(root) and name not in snapshot.impossible
    ]


def _within(snapshot: Snapshot) -> list[Finding]:
    root = snapshot.folder.resolve()
    return [
        warning(f"snapshot: {name!r} is a link; {target.relative_to(root).as_posix()!r} is uploaded in its place")
        for name, target in snapshot.links.items()
        if target.is_relative_to(root) and name not in snapshot.impossible
    ]


def check_ignore_file(snapshot: Snapshot) -> list[Finding]:
    used = ignore_file(snapshot.folder)
    if used is None:
        return [warning(f"{AML_IGNORE}: there is none, so everything is uploaded, .git included; write one")]
    if used.name == GIT_IGNORE:
        return [
            warning(
                f"{AML_IGNORE}: there is none, so {GIT_IGNORE} decides, which leaves .git to be uploaded; write one"
            )
        ]
    return []


def check_nested(snapshot: Snapshot) -> list[Finding]:
    """azureml-core reads the ignore file of the snapshot's root only."""
    nested = [name for name in snapshot.files if name.endswith((f"/{AML_IGNORE}", f"/{GIT_IGNORE}"))]
    telling = [name for name in nested if patterns(snapshot.folder / name)]
    if not telling:
        return []
    return [warning(f"{format_names(telling)}: azureml-core doesn't read it; name what it ignores in ./{AML_IGNORE}")]


def check_patterns(snapshot: Snapshot) -> list[Finding]:
    """``!name/`` can't bring a folder back where azureml-core has left it out as ``name``, which git would do."""
    used = ignore_file(snapshot.folder)
    lost = [line for line in patterns(used) if line.startswith("!") and line.endswith("/") and "**" not in line]
    return [
        warning(f"{used.name}: {line!r} brings no ignored folder back in azureml-core; write {line.rstrip('/')!r}")
        for line in lost
        if used
    ]
