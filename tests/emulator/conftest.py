"""A job of the emulator, and a user with sources to submit."""

from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.emulator_jobs import Job
from tests.support.submitters import Submitter
from tests.support.submitters_v2 import V2Submitter


@pytest.fixture
def job(service: AzureMLEmulator, tmp_path: Path) -> Job:
    return Job(service, tmp_path)


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    return Submitter(service, tmp_path).with_sources()


@pytest.fixture
def v2_submitter(service: AzureMLEmulator, tmp_path: Path) -> V2Submitter:
    submitter = V2Submitter(service, tmp_path)
    submitter.with_sources()
    return submitter
