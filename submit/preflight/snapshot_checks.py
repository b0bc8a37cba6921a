"""Things that don't belong in a snapshot, although azureml-core would upload them."""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from submit.preflight.findings import Finding, error, listed, warning
from submit.preflight.snapshot import Snapshot

MOST_IMAGES = 1000
_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm"}
_CHECKPOINTS = {".ckpt", ".pt", ".pth", ".safetensors", ".onnx"}
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")  # of venv and virtualenv, and of conda


def check_git(snapshot: Snapshot) -> list[Finding]:
    """``.git`` holds all history and the address of the remote with its token; a worktree's is a file."""
    found = sorted({_up_to(name, ".git") for name in snapshot.files if ".git" in PurePosixPath(name).parts})
    if not found:
        return []
    return [error(f"snapshot: {listed(found)} would be uploaded, with history and addresses; add '.git' to .amlignore")]


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
    return [warning(f"snapshot: {listed(found)} would be uploaded; add '__pycache__' to .amlignore")]


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
    return [warning(f"snapshot: {listed(found)} looks like a checkpoint; name it in .amlignore if jobs don't need it")]


def _is_environment(folder: Path) -> bool:
    return any((folder / mark).exists() for mark in _ENVIRONMENT_MARKS)


def _up_to(name: str, part: str) -> str:
    """``a/.git`` of ``a/.git/config``"""
    parts = PurePosixPath(name).parts
    return "/".join(parts[: parts.index(part) + 1])


def _common(images: Collection[str], top: str) -> str:
    """The deepest folder that has all images below a top folder."""
    return os.path.commonpath([str(PurePosixPath(name).parent) for name in images if name.startswith(f"{top}/")])
