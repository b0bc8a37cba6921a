"""The environment of a job: from options, from files, or from the project's own dependencies."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from submit import program
from submit.errors import SubmitError
from submit.job import BuiltEnvironment, CuratedEnvironment
from submit.lock_files import Locked, is_lock_file, read_lock_file
from submit.options import EnvironmentOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYTHON = "3.11"
_IN_WORKSPACE = re.compile(r"(azureml:)?(?P<name>[\w.-]+)(:(?P<version>[\w.-]+)|@latest)?", re.ASCII)
_IN_REGISTRY = re.compile(
    r"azureml://registries/(?P<registry>[\w.-]+)/environments/(?P<name>[\w.-]+)"
    r"(/labels/latest|/versions/(?P<version>[\w.-]+))",
    re.ASCII,
)
PROJECT_ENVIRONMENT = "lightning-azureml"
# Fixed versions, within those that the project supports. Without them pip takes the newest PyTorch, whose CUDA may need
# a newer driver
# than the nodes have; that of 2.8 (CUDA 12.8) needs driver 525 or later, as every CUDA 12 does:
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
PINNED = {
    "torch": "2.8.0",
    "torchvision": "0.23.0",
    "pytorch-lightning": "2.6.6",
    "torchmetrics": "1.9.0",
}


def choose_environment(
    options: EnvironmentOptions, folder: Path, extra: str | None = None
) -> CuratedEnvironment | BuiltEnvironment:
    """The environment that the options mean; ``folder`` has the project, whose dependencies are the default.

    With an ``extra`` of the project these are those of the extra as well.

    Raises:
        SubmitError: Options exclude one another, or a file can't be used.
    """
    _require_one(options)
    if options.environment:
        return named_environment(options.environment)
    if options.dockerfile:
        context = (options.dockerfile.parent, options.dockerfile.name)
        text = _text(options.dockerfile, "--dockerfile")
        return BuiltEnvironment(PROJECT_ENVIRONMENT, dockerfile=text, context=context)
    if options.conda_file:
        return BuiltEnvironment(
            PROJECT_ENVIRONMENT, conda=_text(options.conda_file, "--conda_file"), image=options.docker_image
        )
    if options.pip_requirements:
        locked = _requirements(options.pip_requirements, folder, extra)
        conda = conda_specification(locked.requirements, locked.python)
        return BuiltEnvironment(PROJECT_ENVIRONMENT, conda=conda, image=options.docker_image)
    if options.docker_image:
        return BuiltEnvironment(PROJECT_ENVIRONMENT, image=options.docker_image)
    return BuiltEnvironment(PROJECT_ENVIRONMENT, conda=conda_specification(pinned(project_dependencies(folder, extra))))


def named_environment(text: str) -> CuratedEnvironment:
    """The environment of the workspace or of a registry that ``--environment`` names.

    Raises:
        SubmitError: It has none of the forms that such a name has.
    """
    if found := _IN_REGISTRY.fullmatch(text):
        return CuratedEnvironment(found["name"], found["version"], found["registry"])
    if not (found := _IN_WORKSPACE.fullmatch(text)):
        raise SubmitError(
            f"--environment {text!r}: expected NAME, NAME:VERSION, or "
            "azureml://registries/azureml/environments/NAME/labels/latest for one of Azure ML"
        )
    return CuratedEnvironment(found["name"], found["version"])


def pinned(requirements: Sequence[str]) -> list[str]:
    """The requirements with fixed versions of the packages that decide whether a job runs on the nodes' GPUs.

    A requirement that names one version already, or excludes the fixed one, is left as it is.
    """
    return [_pinned(requirement) for requirement in requirements]


def _pinned(requirement: str) -> str:
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return requirement  # pip's own error says what is wrong
    version = PINNED.get(canonicalize_name(parsed.name))
    if version is None or "==" in requirement or not parsed.specifier.contains(version):
        return requirement
    return f"{parsed.name}=={version}"


def conda_specification(requirements: list[str], python: str = PYTHON) -> str:
    """A conda environment with Python, pip and these requirements; azureml-core's default has Python 3.8."""
    content: dict[str, Any] = {
        "name": PROJECT_ENVIRONMENT,
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}", "pip", {"pip": requirements}],
    }
    return yaml.safe_dump(content, sort_keys=False)


def project_dependencies(folder: Path, extra: str | None = None) -> list[str]:
    """The dependencies in the folder's ``pyproject.toml``; without the program in the folder, the program's package.

    Raises:
        SubmitError: It has none.
    """
    if not program.is_in(folder):
        return [program.requirement(extra), *PINNED]
    path = folder / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text())["project"]
        dependencies = [*project["dependencies"], *project.get("optional-dependencies", {}).get(extra, [])]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise SubmitError(
            f"--source_directory {str(folder)!r}: no dependencies in its pyproject.toml ({error}); give --conda_file, "
            "--pip_requirements, --environment, --docker_image or --dockerfile"
        ) from error
    return dependencies


def _requirements(file: Path, folder: Path, extra: str | None) -> Locked:
    """The requirements in a file, and the program's package where neither the file nor the folder has it."""
    flag = "--pip_requirements"
    found = read_lock_file(file, flag, extra) if is_lock_file(file) else Locked(PYTHON, _lines(_text(file, flag)))
    lines = found.requirements
    if program.is_in(folder) or any(line.startswith(program.DISTRIBUTION) for line in lines):
        return found
    if any("--hash=" in line for line in lines):
        raise SubmitError(
            f"{flag} {str(file)!r}: has hashes, but not {program.DISTRIBUTION}, which pip then refuses to "
            "install; lock it as well, or give the project's folder with --source_directory"
        )
    return Locked(found.python, [*lines, program.requirement(extra)])


def _lines(text: str) -> list[str]:
    """The requirements of a file without comments; with hashes it has a line for each one, which continues another."""
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [text for line in lines if (text := re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip())]


def _require_one(options: EnvironmentOptions) -> None:
    names = ("environment", "conda_file", "pip_requirements", "dockerfile")
    given = [f"--{name}" for name in names if getattr(options, name)]
    if options.docker_image and given and given[0] in ("--environment", "--dockerfile"):
        given.append("--docker_image")
    if len(given) > 1:
        raise SubmitError(f"{' and '.join(given)} each define the environment; give one of them")


def _text(path: Path, flag: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SubmitError(f"{flag} {str(path)!r}: can't be read ({error})") from error
