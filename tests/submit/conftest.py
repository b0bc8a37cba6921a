"""A user with a workspace of the emulator, and a project without findings."""

from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.preflight import write
from tests.support.submitters import Submitter


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    return Submitter(service, tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of which preflight finds nothing."""
    folder = tmp_path / "project"
    write(folder, "lightning_app/fit.py", "datamodules/cifar10.py", "models/cifar_net.py", "pyproject.toml")
    write(folder, ".amlignore", text="/.git\n")
    return folder
