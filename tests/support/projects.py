"""Copies of this project, and git."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.commands import ROOT


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com", *arguments],  # noqa: S607 this machine's git
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def copy_project(target: Path) -> Path:
    """This project as it is, without what git ignores, in a repository of its own."""
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    git(target, "init", "-q")
    git(target, "add", "-A")
    git(target, "commit", "-qm", "as it is")
    git(target, "remote", "add", "origin", "https://example.com/project.git")
    return target


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
