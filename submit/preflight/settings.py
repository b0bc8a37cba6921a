"""The Python of a conda file.

azureml-core reads ``python=3.11``, and of ranges the number at their end. Where there is no entry, or one that it
can't read (``python``, ``python 3.11``, ``python==3.11.*``, ``conda-forge::python=3.11``), it adds a Python of its own
choice, or puts it in the entry's place, and only its log says so.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from submit.preflight.findings import Finding, error, warning

OLDEST = (3, 10)
NEWEST = (3, 12)
_ABOUT_PYTHON = re.compile(r"(\S+::)?python\s*([\s=<>!~\[].*)?", re.IGNORECASE)
_VERSION = re.compile(r"python={1,2}(?P<major>\d+)\.(?P<minor>\d+)(\.\d+)?", re.ASCII)
_RANGE = re.compile(r"python[<>!~].*\d+\.\d+(\.\d+)?", re.ASCII)
_EXPECTED = "expected 'python=3.10', 'python=3.11' or 'python=3.12' in its dependencies"


def check_conda_file(path: Path) -> list[Finding]:
    """A file that can be read, and that names a Python which runs this project."""
    flag = f"--conda_file {str(path)!r}"
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as reason:
        return [error(f"{flag}: can't be read ({reason.strerror}); give a conda environment file")]
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        return [error(f"{flag}: isn't YAML ({_place(reason)}); give a conda environment file")]
    if not isinstance(content, dict) or not isinstance(content.get("dependencies"), list):
        return [error(f"{flag}: has no list 'dependencies'; give a conda environment file")]
    return _about_python(flag, content["dependencies"])


def _about_python(flag: str, dependencies: list[Any]) -> list[Finding]:
    texts = [entry.strip() for entry in dependencies if isinstance(entry, str)]
    found = [entry for entry in texts if _ABOUT_PYTHON.fullmatch(entry)]
    if not found:
        return [error(f"{flag}: names no Python, so azureml-core would choose one; {_EXPECTED}")]
    return [finding for entry in found for finding in _about_entry(flag, entry)]


def _about_entry(flag: str, entry: str) -> list[Finding]:
    if version := _VERSION.fullmatch(entry):
        if OLDEST <= (int(version["major"]), int(version["minor"])) <= NEWEST:
            return []
        return [error(f"{flag}: {entry!r} doesn't run this project; {_EXPECTED}")]
    if _RANGE.fullmatch(entry):
        return [warning(f"{flag}: {entry!r} leaves open which Python; {_EXPECTED}")]
    return [error(f"{flag}: azureml-core can't read {entry!r} and would choose a Python; {_EXPECTED}")]


def _place(reason: Exception) -> str:
    mark = getattr(reason, "problem_mark", None)
    return f"line {mark.line + 1}" if mark else type(reason).__name__
