"""The address of the git remote, which azureml-core stores with a run."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from azureml._base_sdk_common.tracking import global_tracking_info_registry

from submit.preflight.git_remote import check_addresses, clean_addresses, without_credentials

GIT = shutil.which("git") or "git"
TOKEN = "a1B2" * 9
ADDRESSES = {
    "https://github.com/o/r.git": "https://github.com/o/r.git",
    f"https://{TOKEN}@github.com/o/r.git": "https://github.com/o/r.git",
    f"https://user:{TOKEN}@gitlab.com:8443/o/r.git": "https://gitlab.com:8443/o/r.git",
    f"https://user:{TOKEN}@ss@gitlab.com/o/r.git": "https://gitlab.com/o/r.git",
    f"https://user:{TOKEN}/x@gitlab.com/o/r.git": "https://gitlab.com/o/r.git",
    f"https://user:12/{TOKEN}@gitlab.com/o/r.git": "https://gitlab.com/o/r.git",
    "https://host:8080/@scope/r.git": "https://host:8080/@scope/r.git",
    f"https://user:{TOKEN}#x?y@gitlab.com/o/r.git": "https://gitlab.com/o/r.git",
    f"https://gitlab.com/o/r.git?private_token={TOKEN}#x": "https://gitlab.com/o/r.git",
    "https://org@dev.azure.com/org/project/_git/repo": "https://dev.azure.com/org/project/_git/repo",
    f"https://org:{TOKEN}@dev.azure.com/org/p%20q/_git/repo": "https://dev.azure.com/org/p%20q/_git/repo",
    f"https://{TOKEN}@org.visualstudio.com/p/_git/repo": "https://org.visualstudio.com/p/_git/repo",
    f"https://proxy.example/https://u:{TOKEN}@github.com/o/r": "https://proxy.example/https://github.com/o/r",
    "https://host/@scope/r.git": "https://host/@scope/r.git",
    "http://[::1]:8080/r.git": "http://[::1]:8080/r.git",
    "git@github.com:o/r.git": "git@github.com:o/r.git",
    "git@ssh.dev.azure.com:v3/org/project/repo": "git@ssh.dev.azure.com:v3/org/project/repo",
    "org@vs-ssh.visualstudio.com:v3/org/project/repo": "vs-ssh.visualstudio.com:v3/org/project/repo",
    f"oauth2:{TOKEN}@gitlab.com:o/r.git": "gitlab.com:o/r.git",
    "ssh://git@github.com/o/r.git": "ssh://git@github.com/o/r.git",
    f"ssh://git:{TOKEN}@github.com:22/o/r.git": "ssh://github.com:22/o/r.git",
    "ssh://alice@host:2222/r.git": "ssh://host:2222/r.git",
    "git+ssh://git@host/r.git": "git+ssh://git@host/r.git",
    "https://git@host/r.git": "https://host/r.git",
    "/srv/git/a@b:c.git": "/srv/git/a@b:c.git",
    "../r@2.git": "../r@2.git",
    "C:\\git\\r.git": "C:\\git\\r.git",
    "file:///srv/git/r.git": "file:///srv/git/r.git",
    "origin": "origin",
    "": "",
}


def git(folder: Path, *arguments: str) -> None:
    subprocess.run([GIT, *arguments], cwd=folder, check=True, capture_output=True, env=git_environment(folder))


def git_environment(folder: Path) -> dict[str, str]:
    """Without the settings of the user who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "AZUREML_"))}
    return kept | {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def repository(project: Path) -> Path:
    git(project, "init", "--quiet", "--initial-branch=main")
    return project


@pytest.mark.parametrize(("given", "expected"), ADDRESSES.items(), ids=[f"address {n}" for n in range(len(ADDRESSES))])
def test_an_address_loses_its_credentials_and_nothing_else(given: str, expected: str) -> None:
    assert without_credentials(given) == expected
    assert without_credentials(expected) == expected


def recorded_by_azureml(folder: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> dict[str, str]:
    """The properties that azureml-core stores with snapshot and run."""
    with monkeypatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("GIT_", "AZUREML_"))]:
            patch.delenv(name)
        for name, value in (git_environment(folder) | more).items():
            patch.setenv(name, value)
        properties: dict[str, str] = global_tracking_info_registry.gather_all(str(folder))
    return properties


def set_remote(folder: Path, address: str) -> None:
    git(folder, "remote", "add", "origin", address)


def set_instead_of(folder: Path, address: str) -> None:
    """What build servers do: the token is in the user's settings, and the remote knows nothing of it."""
    git(folder, "remote", "add", "origin", "https://host.example/o/r.git")
    git(folder, "config", "--global", f"url.{address.removesuffix('o/r.git')}.insteadOf", "https://host.example/")


@pytest.mark.parametrize("set_up", [set_remote, set_instead_of])
def test_azureml_stores_no_token_with_the_variables_it_is_given(
    repository: Path, monkeypatch: pytest.MonkeyPatch, set_up: Callable[[Path, str], None]
) -> None:
    set_up(repository, f"https://user:{TOKEN}@host.example/o/r.git")
    variables = git_environment(repository) | {"AZUREML_GIT_BUILD_URI": f"https://{TOKEN}@ci.example/1"}

    cleaned = clean_addresses(repository, variables)
    findings = check_addresses(repository, variables)

    assert TOKEN in str(recorded_by_azureml(repository, monkeypatch, variables))
    properties = recorded_by_azureml(repository, monkeypatch, variables | cleaned)
    assert TOKEN not in str(properties)
    assert properties["azureml.git.repository_uri"] == "https://host.example/o/r.git"
    assert properties["azureml.git.build_uri"] == "https://ci.example/1"
    assert [finding.level for finding in findings] == ["warning", "warning"]
    assert TOKEN not in str(findings)


def test_an_address_that_azureml_is_reported_is_cleaned_as_well(repository: Path) -> None:
    variables = git_environment(repository) | {"AZUREML_GIT_REPOSITORY_URI": f"https://{TOKEN}@host.example/r.git"}

    assert clean_addresses(repository, variables) == {"AZUREML_GIT_REPOSITORY_URI": "https://host.example/r.git"}


def test_azureml_stores_nothing_where_nothing_of_an_address_is_left(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_remote(repository, f"https://{TOKEN}@host.example/r.git")
    variables = {"AZUREML_GIT_REPOSITORY_URI": f"{TOKEN}@"}

    cleaned = clean_addresses(repository, git_environment(repository) | variables)

    assert cleaned == {"AZUREML_GIT_REPOSITORY_URI": " "}
    assert "azureml.git.repository_uri" not in recorded_by_azureml(repository, monkeypatch, cleaned)


@pytest.mark.parametrize("address", [None, "https://github.com/o/r.git", "git@github.com:o/r.git"])
def test_a_clean_address_needs_nothing(repository: Path, address: str | None) -> None:
    if address:
        set_remote(repository, address)

    assert clean_addresses(repository, git_environment(repository)) == {}
    assert check_addresses(repository, git_environment(repository)) == []


def test_a_folder_that_is_no_repository_has_no_address(project: Path) -> None:
    variables = git_environment(project) | {"GIT_CEILING_DIRECTORIES": str(project.parent)}

    assert clean_addresses(project, variables) == {}
