"""A user with a workspace of the emulator."""

from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.submitters import Submitter


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    return Submitter(service, tmp_path)
