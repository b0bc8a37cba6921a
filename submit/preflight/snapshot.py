"""The snapshot: the files of a folder that azureml-core uploads, and that the job runs from.

azureml-core reads ``.amlignore`` in that folder or, if there is none, ``.gitignore``. Ignore files in subfolders don't
count, and without either file nothing is left out, not even ``.git``. It matches each folder without a trailing slash,
so that ``name/`` excludes the content of a folder but not the folder. Links are followed.
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Snapshot:
    """All paths are relative POSIX paths, in the order of azureml-core.

    Links to folders outside aren't followed: they are errors anyway, and ``/`` would take long.
    """

    folder: Path
    files: Mapping[str, int]  # to the size in bytes
    links: Mapping[str, Path] = field(default_factory=dict)  # symbolic links among them, to their targets
    impossible: Mapping[str, str] = field(default_factory=dict)  # to the reason why azureml-core would stop
    unreadable: tuple[str, ...] = ()  # azureml-core prints a line and leaves them out
    package: str = ""  # of the SDK
    ignored_links: tuple[str, ...] = ()  # links to folders that azure-ai-ml follows although they are ignored

    @classmethod
    def of(cls, folder: Path, ignore_rules: "Callable[[Path], IgnoreRules]") -> "Snapshot":
        """Reads a folder as the SDK does."""
        folder = Path(os.path.normpath(folder.absolute()))
        walk = _Walk(folder, ignore_rules(folder))
        if walk.rules.can_be_read():
            walk.enter(walk.folder, (walk.root,))
        elif used := ignore_file(walk.folder):
            reason = f"an ignore file with characters or patterns that {walk.rules.package} can't read"
            walk.impossible[used.name] = reason
        return cls(
            walk.folder,
            walk.files,
            walk.links,
            walk.impossible,
            tuple(walk.unreadable),
            walk.rules.package,
            tuple(walk.ignored_links),
        )

    @property
    def size(self) -> int:
        return sum(self.files.values())

    def largest(self, count: int = 5) -> list[tuple[str, int]]:
        return sorted(self.files.items(), key=lambda item: (-item[1], item[0]))[:count]

    def folders(self) -> set[str]:
        """Every folder with a file in it or in its subfolders."""
        parents = {str(parent) for name in self.files for parent in Path(name).parents}
        return {Path(parent).as_posix() for parent in parents - {"."}}


class _Walk:
    def __init__(self, folder: Path, rules: "IgnoreRules") -> None:
        self.folder = folder
        self.root = folder.resolve()
        self.rules = rules
        self.files: dict[str, int] = {}
        self.links: dict[str, Path] = {}
        self.impossible: dict[str, str] = {}
        self.unreadable: list[str] = []
        self.ignored_links: list[str] = []

    def enter(self, folder: Path, above: tuple[Path, ...]) -> None:
        """Reads a folder; ``above`` are the real paths of the folders above it."""
        try:
            for name in sorted(os.listdir(folder)):  # noqa: PTH208 - azureml-core's order
                # azure-ai-ml judges each file by its real path, and no folder
                judged = (folder if self.rules.leaves_out_folders else above[-1]) / name
                if self.rules.leaves_out_folders or not judged.is_dir():
                    left_out = self.rules.leave_out(judged)
                else:
                    left_out = False
                    self._note_ignored_link(folder / name)
                if not left_out:
                    self._take(folder / name, above)
        except PermissionError:
            self.impossible[self._name(folder)] = "a folder that can't be read"

    def _note_ignored_link(self, path: Path) -> None:
        if path.is_symlink() and self.rules.leave_out(path):
            self.ignored_links.append(self._name(path))

    def _take(self, path: Path, above: tuple[Path, ...]) -> None:
        if path.is_symlink():
            self.links[self._name(path)] = Path(os.path.realpath(path))
        if path.is_file():
            self._file(self._name(path), path)
        elif reason := _obstacle(path, above):
            self.impossible[self._name(path)] = reason
        elif self._is_inside(path) and not self.rules.leave_out_all_of(path):
            self.enter(path, (*above, path.resolve()))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _file(self, name: str, path: Path) -> None:
        if os.access(path, os.R_OK):
            self.files[name] = path.stat().st_size
        elif self.rules.leaves_out_folders:
            self.unreadable.append(name)
        else:
            self.impossible[name] = "a file that can't be read"

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root)


def _obstacle(path: Path, above: tuple[Path, ...]) -> str | None:
    """Why azureml-core can't handle this path: it takes everything that isn't a file for a folder."""
    try:
        mode = path.stat().st_mode
    except PermissionError:
        raise
    except OSError:
        return "a broken link"
    if not stat.S_ISDIR(mode):
        return "neither a file nor a folder"
    return "a link to a folder above it" if path.resolve() in above else None


AML_IGNORE = ".amlignore"
GIT_IGNORE = ".gitignore"


def ignore_file(folder: Path) -> Path | None:
    """The ignore file that counts, if there is one."""
    return next((folder / name for name in (AML_IGNORE, GIT_IGNORE) if (folder / name).exists()), None)


def patterns(path: Path | None) -> list[str]:
    """The patterns of an ignore file."""
    lines = path.read_text(errors="replace").splitlines() if path else []
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


_NO_PATTERN_HAS_IT = "\u2028a file of any name\u2028"


class IgnoreRules:
    """The ignore rules of one folder; ``file`` is the object of the SDK that decides, ``package`` the SDK's name.

    ``folders``: whether it matches folders as well, and not only each file.
    """

    def __init__(self, folder: Path, file: Any, package: str, *, folders: bool = True) -> None:
        self._file = file
        self.leaves_out_folders = folders
        self._folder = folder
        self.package = package
        self._negated = any(pattern.startswith("!") for pattern in patterns(ignore_file(folder)))

    def can_be_read(self) -> bool:
        """azureml-core reads the file in this machine's encoding, and fails at an invalid pattern."""
        try:
            self.leave_out(self._folder / "any")
        except ValueError:
            return False
        return True

    def leave_out(self, path: Path) -> bool:
        return bool(self._file.is_file_excluded(str(path)))

    def leave_out_all_of(self, folder: Path) -> bool:
        """Whether nothing in a folder can be in the snapshot, so that it needn't be listed, which azureml-core does.

        A pattern that matches ``folder/`` matches everything in it, unless a later ``!`` includes it again.
        """
        if self._negated or not self._file.exists():
            return False
        if self.leaves_out_folders:
            return bool(self._file.is_file_excluded(folder.relative_to(self._folder).as_posix() + "/"))
        return bool(self._file.is_file_excluded(str(folder.resolve() / _NO_PATTERN_HAS_IT)))
