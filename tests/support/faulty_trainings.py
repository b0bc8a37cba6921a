"""Runs real trainings in the environments of ``tests.support.faulty_environments``."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from submit.execution.nodes import free_port
from tests.support.commands import Outcome, command_line, environment
from tests.support.faulty_environments import FOLDER, PORT, Case, Variables
from tests.support.programs import require_mpirun

MPI4PY = """
class Two:
    def Get_size(self):
        return 2


class MPI:
    COMM_WORLD = Two()
"""


def train(case: Case, folder: Path, data: Path, timeout: float = 60.0) -> list[Outcome]:
    """Runs a real training in the case's environment; returns the outcome of each process.

    Raises:
        TimeoutError: A process hasn't ended within ``timeout`` seconds; all are killed.
    """
    command = [
        *(*command_line("fit"), "--data_path", str(data), "--trainer.accelerator", "cpu"),
        *("--trainer.limit_train_batches", "2", "--trainer.limit_test_batches", "1", "--num_epochs", "1"),
        *("--trainer.num_nodes", str(case.nodes), "--trainer.devices", str(case.devices)),
    ]
    if case.mpirun:
        command = [*require_mpirun().command(case.mpirun), *command]
    port, deadline = free_port(), time.monotonic() + timeout
    environments = [case.added or {}] if case.mpirun else case.processes
    running = [
        _start(command, folder, number, fill_in(variables, folder, port))
        for number, variables in enumerate(environments)
    ]
    try:
        return [_finish(process, folder, number, deadline) for number, process in enumerate(running)]
    finally:
        for process in running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def fill_in(given: Variables, folder: Path, port: int) -> dict[str, str]:
    """Replaces the folder and the port of the table."""
    with_port = {name: value.replace(f"{PORT}", str(port)) for name, value in given.items()}
    return {name: value.replace(FOLDER, str(folder)) for name, value in with_port.items()}


def install_mpi4py(folder: Path) -> None:
    (folder / "mpi4py.py").write_text(MPI4PY)


def _start(command: Sequence[str], folder: Path, number: int, variables: Variables) -> "subprocess.Popen[bytes]":
    # into files: a pipe would stay open as long as any process has it open, such as a watchdog's agent
    with (folder / f"out{number}").open("wb") as out, (folder / f"err{number}").open("wb") as err:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment() | variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,  # so that all its processes can be killed together
        )


def _finish(process: "subprocess.Popen[bytes]", folder: Path, number: int, deadline: float) -> Outcome:
    out, err = folder / f"out{number}", folder / f"err{number}"
    try:
        status = process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"process {number} still runs: {out.read_text()}{err.read_text()}") from error
    return Outcome(status, out.read_text(), err.read_text())
