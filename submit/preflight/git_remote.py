"""The address of the git remote, which azureml-core stores with the run, including any token in it.

It runs ``git ls-remote --get-url``, which applies the user's ``url.*.insteadOf``: a token can come from there even if
``.git/config`` has none. The address goes into the snapshot's properties and twice into the run's
(``azureml.git.repository_uri``, ``mlflow.source.git.repoURL``). The branch, the commit and whether there are changes
are recorded, too; they have no token unless the name of the branch has one. ``AZUREML_GIT_BUILD_URI`` can have one.
"""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from submit.preflight.findings import Finding, warning

ADDRESS = "AZUREML_GIT_REPOSITORY_URI"  # azureml-core uses it instead of git, unless it is empty
ADDRESSES = (ADDRESS, "AZUREML_GIT_BUILD_URI")
_SSH_USER = "git"  # the same for everybody, and part of the address
_SCP = re.compile(r"([^@:/]+)@([^@:/]+:.*)")
_LOCAL = re.compile(r"[./~\\]|[A-Za-z]:[\\/]|file://")


def without_credentials(url: str) -> str:
    """An address without user, password and query; SSH's user ``git`` stays, because it isn't personal.

    For ``https://USER:TOKEN@HOST/PATH``, ``ssh://``, ``git@HOST:PATH`` and the forms of Azure DevOps. A path on this
    machine stays as it is. If it isn't clear what is a password, too much is removed rather than too little.
    """
    url = url.strip()
    if _LOCAL.match(url):
        return url
    scheme, colon, rest = url.partition("://")
    if colon:
        address = _without_user(rest, keep="ssh" in scheme)
        return scheme + colon + re.split(r"[?#]", address, maxsplit=1)[0]
    if scp := _SCP.fullmatch(url):
        return url if scp[1] == _SSH_USER else scp[2]
    return _without_user(url, keep=True)


def recorded_address(folder: Path, environment: Mapping[str, str]) -> str | None:
    """The address that azureml-core would store for the repository of a folder."""
    return (environment.get(ADDRESS) or _ask_git(folder, environment)).strip() or None


def clean_addresses(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables to set for the submission, so that azureml-core stores no credentials."""
    found = {name: environment[name] for name in ADDRESSES if environment.get(name)}
    if address := recorded_address(folder, environment):
        found[ADDRESS] = address
    cleaned = {name: without_credentials(url) for name, url in found.items()}
    # a space, because azureml-core would ignore an empty string
    return {name: clean or " " for name, clean in cleaned.items() if clean != found[name].strip()}


def check_addresses(folder: Path, environment: Mapping[str, str]) -> list[Finding]:
    """Warnings about credentials in addresses, which ``clean_addresses`` removes."""
    return [
        warning(
            f"{name if name in environment else 'git remote'}: its credentials are not sent; Azure ML gets {clean!r}"
        )
        for name, clean in clean_addresses(folder, environment).items()
    ]


def _without_user(address: str, keep: bool) -> str:
    host, slash, path = address.partition("/")
    if "@" not in host and ":" in host and (re.search(r":.*\D", host) or re.search(r"[^/]@", path)):
        host, slash, path = address, "", ""  # what looks like host and port is a password with a slash
    user, _, rest = host.rpartition("@")
    user_part = f"{_SSH_USER}@" if keep and user == _SSH_USER else ""
    return user_part + rest + slash + re.sub(r"(?<=://)[^/]*@", "", path)


def _ask_git(folder: Path, environment: Mapping[str, str]) -> str:
    """The output of the git commands that azureml-core runs."""
    if not folder.is_dir():  # check_folder reports it
        return ""
    if _git(folder, environment, "rev-parse", "--is-inside-work-tree").strip() != "true":
        return ""
    return _git(folder, environment, "ls-remote", "--get-url")


def _git(folder: Path, environment: Mapping[str, str], *arguments: str) -> str:
    program = shutil.which("git")
    if program is None:
        return ""
    done = subprocess.run([program, *arguments], cwd=folder, env=dict(environment), capture_output=True, text=True)  # noqa: S603 - git, with arguments from above
    return "" if done.returncode else done.stdout
