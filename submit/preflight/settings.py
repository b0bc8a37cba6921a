"""Checks of a job's settings: names, image, shared memory, environment variables and the conda file.

azureml-core accepts most wrong values, and Azure ML refuses them much later. Of a conda file it reads
``python=3.11`` and the last number of a range; if there is no such entry, or one that it can't read (``python``,
``python 3.11``, ``python==3.11.*``, ``conda-forge::python=3.11``), it chooses a Python itself, and only its log says
so. Environment variables are part of the job's definition, which everybody with access to the run can read.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lightning_app.azureml.destination import BY_CORE, BY_MLFLOW, CHOICE
from submit.preflight.findings import Finding, error, warning
from submit.preflight.secrets import secrets_in

_SHM_SIZE = re.compile(r"([1-9][0-9]*)([kmg])", re.IGNORECASE)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*:[0-9a-f]{32,}")
_IMAGE = re.compile(  # as in https://pkg.go.dev/github.com/distribution/reference
    r"((?P<host>[A-Za-z0-9.-]+(:[0-9]+)?)/)?"
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    r"(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>\S+))?",
    re.ASCII,
)


def check_shm_size(value: object) -> list[Finding]:
    """Docker's format; a number without a unit would be bytes."""
    if isinstance(value, str) and _SHM_SIZE.fullmatch(value):
        return []
    return [error(f"--shm_size {value!r}: expected a number with its unit, k, m or g, such as '16g'")]


def check_experiment_name(name: str) -> list[Finding]:
    """azureml-core's rule, which it applies only while it submits."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", name):
        return []
    return [
        error(
            f"--experiment {name!r}: expected 1 to 255 letters, digits, '-' and '_' (found {len(name)} characters), "
            "beginning with a letter or digit"
        )
    ]


def check_compute_name(name: str, flag: str = "--compute") -> list[Finding]:
    """https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules"""
    if re.fullmatch(r"[A-Za-z0-9-]{2,32}", name):
        return []
    return [
        error(f"{flag} {name!r}: expected 2 to 32 letters, digits and '-' (found {len(name)} characters)"),
    ]


def check_image(image: str) -> list[Finding]:
    """A reference such as ``mcr.microsoft.com/azureml/NAME:TAG``."""
    match = _IMAGE.fullmatch(image)
    if not match or (match["digest"] and not _DIGEST.fullmatch(match["digest"])):
        expected = "expected HOST/NAME:TAG in small letters, without 'https://' and spaces"
        return [error(f"--docker_image {image!r}: {expected}")]
    if not match["digest"] and match["tag"] in (None, "latest"):
        return [warning(f"--docker_image {image!r}: without a fixed tag it can change from job to job; give a tag")]
    return []


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PWD|PAT|CREDENTIALS?|(API|ACCESS|ACCOUNT|SAS)_?KEY)(_|$)")
_SET_BY_AZUREML = (
    "AZUREML_RUN_",
    "AZUREML_ARM_",
    "AZUREML_SERVICE_ENDPOINT",
    "AZUREML_EXPERIMENT_",
    "AZUREML_WORKSPACE_",
)
_SET_BY_LAUNCHERS = {"RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


def check_variables(variables: Mapping[str, object]) -> list[Finding]:
    return [
        finding
        for name, value in variables.items()
        for finding in [
            *_about_name(name),
            *_about_value(name, value),
            *_about_choice(name, value),
            *_about_secret(name, value),
        ]
    ]


def _about_name(name: str) -> list[Finding]:
    if not _NAME.fullmatch(name):
        shown = name.partition("=")[0]  # what follows may be a secret
        return [error(f"--env {shown!r}: expected a name of letters, digits and '_', as in --env NAME=VALUE")]
    if name in _SET_BY_LAUNCHERS or name.startswith(("OMPI_", *_SET_BY_AZUREML)):
        return [error(f"--env {name}: Azure ML sets this variable itself; leave it out")]
    return []


def _about_choice(name: str, value: object) -> list[Finding]:
    """The training refuses another value, on nodes that are paid for by then."""
    if name != CHOICE or value in (BY_CORE, BY_MLFLOW, ""):
        return []
    return [error(f"--env {name}={value}: expected {BY_CORE!r} or {BY_MLFLOW!r}")]


def _about_value(name: str, value: object) -> list[Finding]:
    shown = name.partition("=")[0]
    if not isinstance(value, str):
        return [error(f"--env {shown}: expected a string, found {type(value).__name__}; put it in quotes")]
    if not value:
        return [warning(f"--env {shown}=: the value is empty; leave it out, or give one")]
    if "\0" in value or "\n" in value:
        return [error(f"--env {shown}: expected a value of one line; put longer ones in a file of the project")]
    return []


def _about_secret(name: str, value: object) -> list[Finding]:
    shown = name.partition("=")[0]
    kinds = [kind for _, kind in secrets_in(f"{name}={value}".encode(errors="replace"))]
    if not value or not (kinds or _SECRET.search(name.upper())):
        return []
    kind = kinds[0] if kinds else "a secret"
    return [
        warning(f"--env {shown}: looks like {kind}, which everybody with access to the run can read; use a key vault")
    ]


OLDEST = (3, 10)
NEWEST = (3, 12)
_ABOUT_PYTHON = re.compile(r"(\S+::)?python\s*([\s=<>!~\[].*)?", re.IGNORECASE)
_VERSION = re.compile(r"python={1,2}(?P<major>\d+)\.(?P<minor>\d+)(\.\d+)?", re.ASCII)
_RANGE = re.compile(r"python[<>!~].*\d+\.\d+(\.\d+)?", re.ASCII)
_EXPECTED = "expected 'python=3.10', 'python=3.11' or 'python=3.12' in its dependencies"


def check_conda_file(path: Path) -> list[Finding]:
    """Findings about a conda file: it must be readable and name a Python that runs this project."""
    flag = f"--conda_file {str(path)!r}"
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as reason:
        return [error(f"{flag}: can't be read ({reason.strerror}); give a conda environment file")]
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        return [error(f"{flag}: isn't YAML ({_yaml_position(reason)}); give a conda environment file")]
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
        return [warning(f"{flag}: {entry!r} doesn't fix the Python version; {_EXPECTED}")]
    return [error(f"{flag}: azureml-core can't read {entry!r} and would choose a Python; {_EXPECTED}")]


def _yaml_position(reason: Exception) -> str:
    mark = getattr(reason, "problem_mark", None)
    return f"line {mark.line + 1}" if mark else type(reason).__name__
