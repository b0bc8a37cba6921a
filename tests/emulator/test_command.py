"""``python -m submit.emulator``: the emulator for a shell."""

import subprocess
import sys
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.commands import ROOT
from tests.support.emulator_jobs import GET_CONTEXT, running


def test_a_shell_with_the_printed_variables_is_a_job(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "submit.emulator", "--experiment", "my exp"]
    with running(command, ROOT) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        exports = "".join(process.stdout.readline() for _ in range(20))
        job = f"{first}{exports}'{sys.executable}' -c \"$SCRIPT\""
        script = f"{GET_CONTEXT}run.log('loss', 1.0); run.complete(); print(run.id, run.experiment.name)"
        done = subprocess.run(
            ["/bin/sh", "-c", job], env={"SCRIPT": script}, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        process.terminate()  # a background job's children ignore SIGINT
        rest, log = process.communicate(timeout=20)

    assert first.startswith("# The Azure ML emulator listens on http://127.0.0.1:")
    assert all(line.startswith("export ") for line in exports.splitlines())
    assert rest == ""
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" my exp\n")
    assert "200 POST /metric/v2.0/" in log
    assert process.returncode == 0


def test_a_port_in_use_is_one_line(service: AzureMLEmulator) -> None:
    command = [sys.executable, "-m", "submit.emulator", "--port", str(service.port)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --port {service.port}: can't listen there (")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("missing", ["trustme", "jwt"])
def test_without_its_extra_the_command_names_it(missing: str) -> None:
    run = "runpy.run_module('submit.emulator', run_name='__main__')"
    program = f"import sys, runpy; sys.modules[{missing!r}] = None; {run}"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert done.stderr == "error: the emulator needs the extra 'rehearse': pip install 'lightning-azureml[rehearse]'\n"
