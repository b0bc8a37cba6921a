"""Environment variables of a job. They are part of its definition, which everybody with access to the run can read."""

import re
from collections.abc import Mapping

from submit.preflight.findings import Finding, error, warning
from submit.preflight.secret_texts import secrets_in

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PWD|PAT|CREDENTIALS?|(API|ACCESS|ACCOUNT|SAS)_?KEY)(_|$)")
_OF_THE_JOB = ("AZUREML_RUN_", "AZUREML_ARM_", "AZUREML_SERVICE_ENDPOINT", "AZUREML_EXPERIMENT_", "AZUREML_WORKSPACE_")
_OF_THE_LAUNCHER = {"RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}


def check_variables(variables: Mapping[str, object]) -> list[Finding]:
    return [
        finding
        for name, value in variables.items()
        for finding in [*_about_name(name), *_about_value(name, value), *_about_secret(name, value)]
    ]


def _about_name(name: str) -> list[Finding]:
    if not _NAME.fullmatch(name):
        shown = name.partition("=")[0]  # what stands behind it may be a secret
        return [error(f"--env {shown!r}: expected a name of letters, digits and '_', as in --env NAME=VALUE")]
    if name in _OF_THE_LAUNCHER or name.startswith(("OMPI_", *_OF_THE_JOB)):
        return [error(f"--env {name}: Azure ML sets this variable for each process; leave it out")]
    return []


def _about_value(name: str, value: object) -> list[Finding]:
    shown = name.partition("=")[0]
    if not isinstance(value, str):
        return [error(f"--env {shown}: expected a text, found {type(value).__name__}; put it in quotes")]
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
    return [warning(f"--env {shown}: looks like {kind}, which everybody who sees the run can read; use a key vault")]
