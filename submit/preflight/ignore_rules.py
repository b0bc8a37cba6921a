"""Which paths the snapshot leaves out: azureml-core's own answer, and what follows from it for whole folders."""

from pathlib import Path
from typing import Any

AML_IGNORE = ".amlignore"
GIT_IGNORE = ".gitignore"


def ignore_file(folder: Path) -> Path | None:
    """The one ignore file that counts, if there is any."""
    return next((folder / name for name in (AML_IGNORE, GIT_IGNORE) if (folder / name).exists()), None)


def patterns(path: Path | None) -> list[str]:
    """The lines of an ignore file that say something."""
    lines = path.read_text(errors="replace").splitlines() if path else []
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


class IgnoreRules:
    """The rules of one folder."""

    def __init__(self, folder: Path) -> None:
        # imported here: azureml-core is the one that decides, and this part of it loads nothing else
        from azureml._project.ignore_file import get_project_ignore_file

        self._file: Any = get_project_ignore_file(str(folder))
        self._folder = folder
        self._negated = any(pattern.startswith("!") for pattern in patterns(ignore_file(folder)))

    def can_be_read(self) -> bool:
        """azureml-core takes the encoding of this machine for the file's, and ends at what is no pattern."""
        try:
            self.leave_out(self._folder / "any")
        except ValueError:
            return False
        return True

    def leave_out(self, path: Path) -> bool:
        return bool(self._file.is_file_excluded(str(path)))

    def leave_out_all_of(self, folder: Path) -> bool:
        """Whether nothing in a folder can be in the snapshot, so that we, unlike azureml-core, needn't list it.

        A pattern that matches ``folder/`` matches all that begins so, which only a later ``!`` could take back.
        """
        inside = folder.relative_to(self._folder).as_posix() + "/"
        return not self._negated and self._file.exists() and bool(self._file.is_file_excluded(inside))
