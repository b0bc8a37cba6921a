"""The files of a folder to upload, and what can't be uploaded."""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from submit.preflight.findings import Finding, error, format_names, warning

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
MAX_CHARACTERS = 1024
IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]|\.(/|$)")


@dataclass(frozen=True)
class LocalFile:
    """A file; ``name`` is its path within the folder, with slashes."""

    path: Path
    name: str
    size: int


@dataclass
class Folder:
    """The content of a folder by name; ``files`` is what can be sent."""

    files: list[LocalFile] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    linked_folders: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path) -> "Folder":
        found = cls()
        found._enter(root, "")
        return found

    def findings(self, target: str) -> list[Finding]:
        """Findings about an upload to a path, errors first."""
        return [*self._errors(target), *self._warnings()]

    def _errors(self, target: str) -> Iterator[Finding]:
        named = [file.name for file in self.files if not can_be_a_blob(f"{target}/{file.name}")]
        for names, what in (
            (self.unreadable, "can't be read; allow it"),
            (self.broken, "is a broken symbolic link; repair or remove it"),
            (self.linked_folders, "is a symbolic link to a folder, which isn't followed; replace it by the folder"),
            (self.special, "is neither a file nor a folder; remove it"),
            (
                named,
                f"can't be the name of a blob, which has {MAX_CHARACTERS} characters at most, no backslash or control "
                "character, and no dot at the end of a part; rename it",
            ),
        ):
            if names:
                yield error(f"{format_names(names)}: {what}")
        if not (self.files or self.unreadable or self.broken or self.linked_folders or self.special):
            yield error("it has no file; expected at least one")

    def _warnings(self) -> Iterator[Finding]:
        if self.followed:
            yield warning(f"{format_names(self.followed)}: symbolic link; its target is sent instead")
        if self.empty and self.files:
            yield warning(
                f"{format_names(self.empty)}: empty folder; it isn't sent, because a blob container has no folders"
            )

    def _enter(self, folder: Path, name: str) -> None:
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            self.unreadable.append(f"{name}/")
            return
        if not entries and name:
            self.empty.append(f"{name}/")
        for entry in entries:
            self._add(entry, f"{name}/{entry.name}" if name else entry.name)

    def _add(self, path: Path, name: str) -> None:
        try:
            status = path.stat()
        except OSError:
            (self.broken if path.is_symlink() else self.unreadable).append(name)
            return
        if stat.S_ISDIR(status.st_mode):
            if path.is_symlink():
                self.linked_folders.append(name)
            else:
                self._enter(path, name)
        elif stat.S_ISREG(status.st_mode):
            self._add_file(LocalFile(path, name, status.st_size))
        else:
            self.special.append(name)

    def _add_file(self, file: LocalFile) -> None:
        try:
            file.path.open("rb").close()
        except OSError:
            self.unreadable.append(file.name)
            return
        self.files.append(file)
        if file.path.is_symlink():
            self.followed.append(file.name)


def can_be_a_blob(path: str) -> bool:
    return len(path) <= MAX_CHARACTERS and not IMPOSSIBLE.search(path)
