"""The environment of a job: from options, from files, or from the project's own dependencies."""

import sys
from pathlib import Path
from typing import Any

import yaml

from submit.errors import SubmitError
from submit.job import BuiltEnvironment, CuratedEnvironment
from submit.options import EnvironmentOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYTHON = "3.11"
PROJECT_ENVIRONMENT = "lightning-azureml"


def choose_environment(options: EnvironmentOptions, folder: Path) -> CuratedEnvironment | BuiltEnvironment:
    """The environment that the options mean; ``folder`` has the project, whose dependencies are the default.

    Raises:
        SubmitError: Options exclude one another, or a file can't be used.
    """
    _require_one(options)
    if options.environment:
        name, _, version = options.environment.partition(":")
        return CuratedEnvironment(name, version or None)
    if options.dockerfile:
        return BuiltEnvironment(PROJECT_ENVIRONMENT, dockerfile=_text(options.dockerfile, "--dockerfile"))
    if options.conda_file:
        return BuiltEnvironment(
            PROJECT_ENVIRONMENT, conda=_text(options.conda_file, "--conda_file"), image=options.docker_image
        )
    if options.pip_requirements:
        lines = _text(options.pip_requirements, "--pip_requirements").splitlines()
        requirements = [line.partition("#")[0].strip() for line in lines]
        return BuiltEnvironment(
            PROJECT_ENVIRONMENT,
            conda=conda_specification([line for line in requirements if line]),
            image=options.docker_image,
        )
    if options.docker_image:
        return BuiltEnvironment(PROJECT_ENVIRONMENT, image=options.docker_image)
    return BuiltEnvironment(PROJECT_ENVIRONMENT, conda=conda_specification(project_dependencies(folder)))


def conda_specification(requirements: list[str]) -> str:
    """A conda environment with Python, pip and these requirements; azureml-core's default has Python 3.8."""
    content: dict[str, Any] = {
        "name": PROJECT_ENVIRONMENT,
        "channels": ["conda-forge"],
        "dependencies": [f"python={PYTHON}", "pip", {"pip": requirements}],
    }
    return yaml.safe_dump(content, sort_keys=False)


def project_dependencies(folder: Path) -> list[str]:
    """The dependencies in the folder's ``pyproject.toml``.

    Raises:
        SubmitError: It has none.
    """
    path = folder / "pyproject.toml"
    try:
        dependencies = tomllib.loads(path.read_text())["project"]["dependencies"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise SubmitError(
            f"--source_directory {str(folder)!r}: no dependencies in its pyproject.toml ({error}); give --conda_file, "
            "--pip_requirements, --environment, --docker_image or --dockerfile"
        ) from error
    return list(dependencies)


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
