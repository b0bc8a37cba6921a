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

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class _Needs:
    """What the project needs: versions of Python and of torch, and its packages by name."""

    python: SpecifierSet
    torch: SpecifierSet
    packages: Sequence[str]


def check_environment(job: Job) -> Iterator[Finding]:
    """Findings about the versions in the environment; none about what isn't known."""
    needs, found = _needs(job.source_directory), contents_of(job.environment)
    if needs is None or found is None:
        return
    yield from _about_lock(job, needs)
    given = _given(job.environment)
    where = f" ({found.source})" if found.source else ""
    for name, has, wanted in (("Python", found.python, needs.python), ("torch", found.torch, needs.torch)):
        if has is not None and not _contains(wanted, has):
            yield error(f"{given} has {name} {has}{where}, and the project needs {wanted}; {_advice(job.environment)}")
            return
    missing = [name for name in curated.INSTALLED_BY_NONE if name in needs.packages]
    if isinstance(job.environment, CuratedEnvironment) and missing and program.is_in(job.source_directory):
        yield warning(
            f"{given} has Python {found.python} and torch {found.torch}{where}, but its definition doesn't install "
            f"{', '.join(missing)}; {_advice(job.environment)}"
        )


def _about_lock(job: Job, needs: _Needs) -> Iterator[Finding]:
    """With hashes pip installs what is named and nothing else, so that a lock must have all that the project needs."""
    conda = job.environment.conda if isinstance(job.environment, BuiltEnvironment) else None
    lines = [] if conda is None else _pip_lines(conda)
    if not any("--hash=" in line for line in lines):
        return
    locked = {canonicalize_name(re.split(r"[\s=<>~!;@\[]", line, maxsplit=1)[0]) for line in lines}
    missing = [name for name in needs.packages if name not in locked]
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


def _contains(wanted: SpecifierSet, version: str) -> bool:
    try:
        return wanted.contains(version, prereleases=True)
    except InvalidVersion:
        return True  # pip's or conda's own error says what is wrong


def _given(environment: CuratedEnvironment | BuiltEnvironment) -> str:
    if isinstance(environment, CuratedEnvironment):
        version = f":{environment.version}" if environment.version else ""
        return f"--environment '{environment.name}{version}'"
    if environment.conda is not None:
        return "the job's environment"
    return "--dockerfile" if environment.dockerfile is not None else f"--docker_image '{environment.image}'"


def _advice(environment: CuratedEnvironment | BuiltEnvironment) -> str:
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
        torch = [each.specifier for each in requirements if each.name == "torch"]
        # one with a marker is for some platforms or Pythons only
        names = [canonicalize_name(each.name) for each in requirements if not each.marker]
        return _Needs(SpecifierSet(python), torch[0] if torch else SpecifierSet(), names)
    except (OSError, ValueError, KeyError, metadata.PackageNotFoundError, InvalidRequirement, InvalidSpecifier):
        return None  # what is wrong with it is said where the environment is built


_PYTHON = re.compile(r"python={1,2}(3\.(?:10|11|12))(\.\d+)?", re.ASCII)  # check_conda_file reports others
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
