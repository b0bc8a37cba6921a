"""``python -m submit.emulator``: the service for a shell."""

import subprocess
import sys
from pathlib import Path

from submit.emulator import AzureMLEmulator
from tests.support.commands import ROOT
from tests.support.emulator_jobs import GET_CONTEXT, running


def test_the_command_tells_a_shell_what_makes_it_a_job(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "submit.emulator", "--experiment", "my exp"]
    with running(command, ROOT) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        exports = "".join(process.stdout.readline() for _ in range(19))
        job = f"{first}{exports}'{sys.executable}' -c \"$SCRIPT\""
        script = f"{GET_CONTEXT}run.log('loss', 1.0); run.complete(); print(run.id, run.experiment.name)"
        done = subprocess.run(
            ["/bin/sh", "-c", job], env={"SCRIPT": script}, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        process.terminate()  # an interrupt isn't heard by what was started from a job in the background
        rest, log = process.communicate(timeout=20)

    assert first.startswith("# A rehearsal of Azure ML listens on http://127.0.0.1:")
    assert all(line.startswith("export ") for line in exports.splitlines())
    assert rest == ""
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" my exp\n")
    assert "200 POST /metric/v2.0/" in log
    assert process.returncode == 0


def test_the_command_says_where_it_cannot_listen(service: AzureMLEmulator) -> None:
    command = [sys.executable, "-m", "submit.emulator", "--port", str(service.port)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --port {service.port}: can't listen there (")
    assert len(done.stderr.splitlines()) == 1
