"""What a job's environment holds, as far as that is known without a network, compared with what the project needs."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from submit import curated, program
from submit.curated import Contents
from submit.job import BuiltEnvironment, CuratedEnvironment, Job
from submit.preflight.findings import Finding, error, format_names, warning
from submit.preflight.requirement_ranges import named, unfit
from submit.preflight.settings import NEWEST, OLDEST

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class _Needs:
    """What the project needs: versions of Python, and its packages with theirs."""

    python: SpecifierSet
    packages: Sequence[Requirement]

    @property
    def torch(self) -> SpecifierSet:
        return next((each.specifier for each in self.packages if each.name == "torch"), SpecifierSet())

    @property
    def names(self) -> Sequence[str]:
        return [canonicalize_name(each.name) for each in self.packages]


def check_environment(job: Job, held: BuiltEnvironment | None = None) -> Iterator[Finding]:
    """Findings about the versions in the environment; none about what isn't known.

    Args:
        job: It may be one that resumes another run, in the environment of that.
        held: What the workspace has under the name of the job's environment, where it was asked.
    """
    environment = held or job.environment
    needs, found = _needs(job.source_directory), contents_of(environment)
    if needs is None or found is None:
        return
    lines = _pip_lines(environment.conda) if isinstance(environment, BuiltEnvironment) and environment.conda else []
    if job.resume is None:
        yield from _about_lock(job, lines, needs)
    given, where = _given(job), f" ({found.source})" if found.source else ""
    if found.python is not None and not _contains(needs.python, found.python) and not _is_reported(job, found.python):
        yield error(f"{given} has Python {found.python}{where}, and the project needs {needs.python}; {_advice(job)}")
    elif others := [*unfit(lines, needs.packages)]:
        has = _and([f"{name} {has}" for name, has, _ in others])
        wanted = _and([f"{name if len(others) > 1 else ''}{wanted}" for name, _, wanted in others])
        yield error(f"{given} has {has}, and the project needs {wanted}; {_advice(job)}")
    elif found.torch is not None and not _contains(needs.torch, found.torch):
        yield error(f"{given} has torch {found.torch}{where}, and the project needs {needs.torch}; {_advice(job)}")
    else:
        yield from _about_packages(job, needs, f"{given} has Python {found.python} and torch {found.torch}{where}")


def _about_packages(job: Job, needs: _Needs, it_has: str) -> Iterator[Finding]:
    missing = [name for name in curated.INSTALLED_BY_NONE if name in needs.names]
    if (
        isinstance(job.environment, CuratedEnvironment)
        and curated.of_environment(job.environment.name, job.environment.version)
        and job.resume is None  # with which it was started
        and missing
        and program.is_in(job.source_directory)
    ):
        yield warning(f"{it_has}, but its definition doesn't install {', '.join(missing)}; {_advice(job)}")


def _about_lock(job: Job, lines: Sequence[str], needs: _Needs) -> Iterator[Finding]:
    """With hashes pip installs what is named and nothing else, so that a lock must have all that the project needs."""
    if not any("--hash=" in line for line in lines):
        return
    locked = {named(line) for line in lines}
    missing = [name for name in needs.names if name not in locked]
    if missing and program.is_in(job.source_directory):
        yield error(
            f"--pip_requirements: is a lock without {format_names(missing)}, which the project needs; lock again, such "
            "as by uv lock"
        )


def contents_of(environment: CuratedEnvironment | BuiltEnvironment) -> Contents | None:
    """What is known of an environment: of a conda environment rather than of the image that it is in."""
    if isinstance(environment, CuratedEnvironment):
        return curated.of_environment(environment.name, environment.version)
    if environment.conda is not None:
        return _of_conda(environment.conda)
    if environment.dockerfile is not None:
        return _of_dockerfile(environment.dockerfile)
    return curated.of_image(environment.image) if environment.image else None


def _is_reported(job: Job, python: str) -> bool:
    """Whether ``check_conda_file`` says of a Python in a conda file that this program doesn't run with it."""
    is_given = isinstance(job.environment, BuiltEnvironment) and job.environment.conda is not None
    return is_given and job.resume is None and not OLDEST <= (3, int(python.partition(".")[2])) <= NEWEST


def _contains(wanted: SpecifierSet, version: str) -> bool:
    try:
        return wanted.contains(version, prereleases=True)
    except InvalidVersion:
        return True  # pip's or conda's own error says what is wrong


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _given(job: Job) -> str:
    environment = job.environment
    if job.resume is not None:
        return "the environment of the run that is resumed"
    if isinstance(environment, CuratedEnvironment):
        version = f":{environment.version}" if environment.version else ""
        return f"--environment '{environment.name}{version}'"
    if environment.conda is not None:
        return "the job's environment"
    return "--dockerfile" if environment.dockerfile is not None else f"--docker_image '{environment.image}'"


def _advice(job: Job) -> str:
    environment = job.environment
    if job.resume is not None:
        return "python -m submit run --resume RUN, with the flags of that run, continues it in another environment"
    default = "leave the flag out for an environment that is built from pyproject.toml"
    if isinstance(environment, CuratedEnvironment):
        return f"{default}, or give a --dockerfile that begins with an image like it and installs what is missing"
    if environment.conda is not None:
        return "change what --conda_file, --pip_requirements or pyproject.toml names"
    return f"take another image, or {default}"


def _needs(folder: Path) -> _Needs | None:
    """What the project in a folder needs; of a folder of modules only, what this program needs."""
    try:
        if program.is_in(folder):
            project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
            python, lines = project.get("requires-python", ""), project["dependencies"]
        else:
            python = str(metadata.metadata(program.DISTRIBUTION).json.get("requires_python", ""))
            lines = metadata.requires(program.DISTRIBUTION) or []
        requirements = [Requirement(line) for line in lines]
        # one with a marker is for some platforms or Pythons only
        return _Needs(SpecifierSet(python), [each for each in requirements if not each.marker])
    except (OSError, ValueError, KeyError, metadata.PackageNotFoundError, InvalidRequirement, InvalidSpecifier):
        return None  # what is wrong with it is said where the environment is built


_PYTHON = re.compile(r"python={1,2}(3\.\d+)(\.\d+)?", re.ASCII)
_TORCH_OF_CONDA = re.compile(r"(\S+::)?pytorch(-gpu)?\s*={1,2}\s*(?P<version>\d+\.\d+[\d.]*)(=.*)?", re.ASCII)
_TORCH_OF_PIP = re.compile(r"\btorch\s*={2,3}\s*(?P<version>\d[\w.+]*)", re.ASCII)


def _of_conda(text: str) -> Contents | None:
    """The Python and the torch that a conda environment fixes."""
    try:
        dependencies = yaml.safe_load(text)["dependencies"]
    except (yaml.YAMLError, KeyError, TypeError):
        return None  # check_conda_file reports it
    lines = [entry for entry in dependencies or [] if isinstance(entry, str)]
    pythons = [found[1] for line in lines if (found := _PYTHON.fullmatch(line.strip()))]
    torches = [found["version"] for line in lines if (found := _TORCH_OF_CONDA.fullmatch(line.strip()))]
    torches += [found["version"] for line in _pip_lines(text) if (found := _TORCH_OF_PIP.match(line))]
    return Contents(next(iter(pythons), None), next(iter(torches), None))


def _pip_lines(conda: str) -> list[str]:
    """The lines for pip of a conda environment that can be read."""
    try:
        entries = [entry for entry in yaml.safe_load(conda)["dependencies"] if isinstance(entry, dict)]
        return [str(line).strip() for entry in entries for line in entry.get("pip") or []]
    except (yaml.YAMLError, KeyError, TypeError):
        return []


_STAGE = re.compile(r"FROM\s+(--platform=\S+\s+)?(?P<image>\S+)(\s+AS\s+(?P<name>\S+))?", re.IGNORECASE)
_CHANGES_PYTHON = re.compile(r"\b(conda|mamba|micromamba|venv|virtualenv|pyenv|uv)\b|python3?[.=]\d|ENV\s+PATH")
_CHANGES_TORCH = re.compile(
    r"(?<![\w-])torch(?![\w-])|\s-r\s|requirements|environment\.ya?ml|pyproject|install\s+(-e\s+)?\.|uv sync"
)


def _of_dockerfile(text: str) -> Contents | None:
    """What the image of its last stage holds, unless its own lines may change that."""
    images: dict[str, str] = {}
    changes: dict[str, list[str]] = {}
    stage = ""
    for line in re.sub(r"\\\s*\n", " ", text).splitlines():
        if found := _STAGE.fullmatch(line.strip()):
            before, stage = found["image"], found["name"] or str(len(images))
            images[stage] = images.get(before, before)  # another stage, or an image
            changes[stage] = [*changes.get(before, [])]
        elif stage and not line.lstrip().startswith("#"):
            changes[stage].append(line)
    held = curated.of_image(images[stage]) if stage else None
    lines = " ".join(changes.get(stage, []))
    python, torch = (held.python, held.torch) if held else (None, None)
    if _CHANGES_PYTHON.search(lines):
        python = torch = None
    if pinned := _TORCH_OF_PIP.search(lines):
        torch = pinned["version"]
    elif _CHANGES_TORCH.search(lines):
        torch = None
    if python is None and torch is None:
        return None
    return Contents(python, torch, f"{images[stage]}: {held.source}" if held else "a line of it")
