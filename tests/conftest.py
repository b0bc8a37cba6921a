"""Fixtures: images in real file layouts, the command line in a process of its own, jobs of the emulator."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from submit.emulator import AzureMLEmulator
from submit.execution import nodes
from tests.support.commands import Command, Outcome, command_line, environment
from tests.support.images import make_cifar10, make_image_folder
from tests.support.jobs import Job
from tests.support.namespaces import SKIPPED, namespaces_work

# With two workers of pytest on two cores, two threads per process are many times slower than one: they wait actively.
torch.set_num_threads(1)
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # of this process, where tests use onnxruntime themselves


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("namespaces") is not None and not namespaces_work():
        pytest.skip(SKIPPED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line that says how to run the tests that were skipped for lack of network namespaces."""
    count = sum(SKIPPED in str(report.longrepr) for report in terminalreporter.getreports("skipped"))
    if count:
        terminalreporter.write_line(
            f"Tests skipped because they need root and iproute2: {count}. To run them: .ci/packages, then pytest -m "
            "namespaces as root."
        )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs ``python -m lightning_app ARGUMENTS`` in the test's temporary folder, now the working directory."""
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: str, prefix: tuple[str, ...] = ()) -> Outcome:
        done = subprocess.run(
            [*prefix, *command_line(*arguments)], capture_output=True, text=True, timeout=600, env=environment()
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run_command


@pytest.fixture
def free_port() -> int:
    """A port for rank 0 of a training; the next port is free as well, for its watchdog."""
    return nodes.free_port()


@pytest.fixture
def service() -> Iterator[AzureMLEmulator]:
    with AzureMLEmulator() as running:
        yield running
    assert running.unknown == []


@pytest.fixture
def job(service: AzureMLEmulator, tmp_path: Path) -> Job:
    folder = tmp_path / "node"
    folder.mkdir()
    return Job(service, service.new_run().id, folder)


@pytest.fixture
def cifar10(tmp_path: Path) -> Path:
    return make_cifar10(tmp_path / "cifar")


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    return make_image_folder(tmp_path / "images")
