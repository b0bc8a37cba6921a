"""A job of the emulator, a user with sources to submit, and one who is logged in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.emulator_jobs import Job
from tests.support.submitters import Submitter
from tests.support.submitters_v2 import V2Submitter
from tests.support.workspaces import LoggedIn, workspace


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


@pytest.fixture
def user(tmp_path: Path) -> Iterator[LoggedIn]:
    curated = ("AzureML-PyTorch-1.6-CPU", "AzureML-PyTorch-1.6-GPU")
    with workspace(tmp_path, "--jobs", "2", *(word for name in curated for word in ("--environment", name))) as found:
        yield found
