"""A Python that has what this project's own extras bring, and nothing else of what is installed here."""

import functools
import re
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.commands import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = "lightning-azureml"


def make_bare_python(folder: Path, *extras: str) -> str:
    """Makes an environment with this project's dependencies and those of its extras; returns its interpreter.

    Its packages are links to those of this Python, as far as the requirements name them, so that a requirement that is
    missing in ``pyproject.toml`` is missing there as well. The project itself isn't in it.
    """
    venv.create(folder, symlinks=True, with_pip=False)
    python = str(folder / "bin" / "python")
    here = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = _with_their_requirements(extras)
    owners = _owners()
    for place in {Path(str(each.locate_file(""))) for each in wanted.values()}:
        _link(place, Path(here.stdout.strip()), owners.get(place, {}), set(wanted))
    return python


def _with_their_requirements(extras: Iterable[str]) -> dict[str, Distribution]:
    """The installed distributions that the project requires with these extras, by their names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    waiting = [
        (line, "") for line in (*project["dependencies"], *(line for extra in extras for line in optional[extra]))
    ]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    while waiting:
        line, extra = waiting.pop()
        required = Requirement(line)
        if required.marker is not None and not required.marker.evaluate({"extra": extra}):
            continue
        name = _canonical(required.name)
        if name == PROJECT:
            waiting += [(each, "") for wanted in required.extras for each in optional[wanted]]
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # of another system
            continue
        for wanted in ("", *required.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(each, wanted) for each in found[name].requires or ()]
    return found


@functools.cache
def _owners() -> Mapping[Path, Mapping[str, set[str]]]:
    """For each place with packages: the distributions that have files in a folder, or are a file, by its path there."""
    owners: dict[Path, dict[str, set[str]]] = {}
    for installed in distributions():
        there = owners.setdefault(Path(str(installed.locate_file(""))), {})
        name = _canonical(installed.metadata["Name"])
        for line in (installed.read_text("RECORD") or "").splitlines():
            path = line.partition(",")[0].strip('"')
            while path and ".." not in path and "__pycache__" not in path:
                of = there.setdefault(path, set())
                if name in of:  # and then in the folders above it as well
                    break
                of.add(name)
                path = path.rpartition("/")[0]
    return owners


def _link(source: Path, target: Path, owners: Mapping[str, set[str]], wanted: set[str], inside: str = "") -> None:
    """Links what belongs to the wanted distributions only; a folder that others have files in as well is made anew."""
    for entry in (source / inside).iterdir():
        path = f"{inside}/{entry.name}".lstrip("/")
        of = owners.get(path, set())
        if of and of <= wanted:
            (target / path).symlink_to(entry, target_is_directory=entry.is_dir())
        elif of & wanted and entry.is_dir():
            (target / path).mkdir(exist_ok=True)
            _link(source, target, owners, wanted, path)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names_what_is_imported(folder: Path, module: str) -> dict[str, str]:
    """Variables with which each Python writes its arguments to ``folder/imported`` when it imports the module."""
    (folder / "sitecustomize.py").write_text(
        f"""
import sys

class Recorder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            with open({str(folder / "imported")!r}, "a") as file:
                file.write(" ".join(sys.orig_argv) + "\\n")

sys.meta_path.insert(0, Recorder())
"""
    )
    return {"PYTHONPATH": str(folder)}
