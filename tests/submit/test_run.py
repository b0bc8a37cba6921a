"""``python -m submit run`` against the loopback service, with the unmodified SDK."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from submit.emulator import AzureMLEmulator, Fault
from tests.support.commands import Outcome, environment
from tests.support.projects import copy_project, git

SECRET = "s3cr" + "et-of-the-" + "test"
JOB = ("--nodes", "2", "--processes_per_node", "4", "--dataset", "cifar10", "--num_epochs", "3", "--env", "A=b c")


@dataclass(frozen=True)
class Desk:
    """A project on somebody's machine who may use the workspace."""

    service: AzureMLEmulator
    project: Path
    home: Path

    def submit(self, *arguments: str, **variables: str) -> Outcome:
        token = {"AZUREML_ACCESS_TOKEN": self.service.user_token()}
        done = subprocess.run(
            [sys.executable, "-m", "submit", *arguments],
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=200,
            env=environment() | {"PYTHONPATH": ""} | self.service.workspace_environment(self.home) | token | variables,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def desk(service: AzureMLEmulator, tmp_path: Path) -> Iterator[Desk]:
    project = copy_project(tmp_path / "project")
    service.write_workspace_config(project)
    service.add_compute("gpu-cluster", "Standard_NC24ads_A100_v4", 4)
    return Desk(service, project, tmp_path / "home")


def test_the_request_that_is_sent_is_that_of_the_dry_run(desk: Desk) -> None:
    dry = desk.submit("run", "--dry_run", *JOB)
    sent = desk.submit("run", *JOB)

    assert (dry.status, sent.status) == (0, 0), dry.err + sent.err
    job = desk.service.jobs[-1]
    assert job.definition["Configuration"] == yaml.safe_load(dry.out)["definition"]["Configuration"]
    assert sent.out.splitlines()[0] == f"Run {job.run_id}"
    assert sent.out.splitlines()[1].startswith("http")
    assert len(sent.out.splitlines()) == 2


def test_the_snapshot_holds_the_program_and_no_more(desk: Desk) -> None:
    desk.submit("run")

    files = desk.service.jobs[-1].files
    assert {"lightning_app/fit.py", "models/cifar_net.py", "datamodules/cifar10.py", "pyproject.toml"} <= set(files)
    assert files["lightning_app/fit.py"] == (desk.project / "lightning_app" / "fit.py").read_bytes()
    assert not [path for path in files if path.startswith((".git/", "tests/", ".ci/")) or path.endswith("config.json")]


def test_a_secret_is_found_nowhere(desk: Desk) -> None:
    """In the environment, in the git remote, in config.json and in a file that nobody wants to send."""
    url = f"https://me:{SECRET}@example.com/project.git"
    git(desk.project, "remote", "set-url", "origin", url)
    config = desk.project / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"note": SECRET}))
    (desk.project / ".env").write_text(f"TOKEN={SECRET}\n")

    outcome = desk.submit("run", *JOB, AZURE_SOMETHING=SECRET)

    assert outcome.status == 0, outcome.err
    job = desk.service.jobs[-1]
    run = desk.service.run(job.run_id)
    everything = [outcome.out, outcome.err, str(job.definition), str(run.tags), str(run.properties), str(job.files)]
    assert [text for text in everything if SECRET in text] == []
    assert "example.com/project.git" in str(run.properties)


MISTAKES: dict[str, tuple[list[str], str]] = {
    "a compute that isn't there": (["--compute", "no-cluster"], "no-cluster"),
    "no configuration": (["--workspace", "nowhere.json"], "--workspace 'nowhere.json': no such file"),
    "nodes that are none": (["--nodes", "0"], "expected a whole number of at least 1"),
    "a launcher of old": (["--launcher", "horovod"], "invalid choice: 'horovod'"),
    "a training flag misspelled": (["--learning_rat", "1"], "did you mean --learning_rate?"),
    "a model misspelled": (["--model", "CifarNett"], "did you mean CifarNet?"),
    "a folder of this machine": (["--data_path", "data"], "give --dataset"),
    "devices given twice": (["--trainer.devices", "2"], "--processes_per_node says it"),
    "an image that is none": (["--docker_image", "https://a b"], "expected HOST/NAME:TAG"),
    "a conda file that isn't there": (["--conda_file", "no.yaml"], "can't be read"),
    "an experiment with a blank": (["--experiment", "my cifar"], "--experiment 'my cifar'"),
    "memory without a unit": (["--shm_size", "16"], "expected a number with its unit"),
    "a duration without a unit": (["--max_duration", "5"], "expected a number with its unit"),
    "a variable without a value": (["--env", "A"], "expected NAME=VALUE"),
    "a folder that is none": (["--source_directory", "nowhere"], "nowhere"),
    "no such command": (["--"], ""),
}
del MISTAKES["no such command"]


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_and_no_job_is_sent(desk: Desk, mistake: str) -> None:
    flags, message = MISTAKES[mistake]
    before = {path for path in desk.project.rglob("*") if "__pycache__" not in path.parts}

    outcome = desk.submit("run", *flags)

    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert all(line.startswith(("error: ", "warning: ")) for line in outcome.err.splitlines())
    assert desk.service.jobs == []
    assert {path for path in desk.project.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault.status(500, "/execution/"), "Azure ML didn't take the job"),
        (Fault.status(403, "/execution/"), "Azure ML didn't take the job"),
        (Fault.status(401, "/subscriptions"), "the workspace can't be opened"),
    ],
)
def test_a_service_that_fails_is_told(desk: Desk, fault: Fault, message: str) -> None:
    desk.service.inject(fault)

    outcome = desk.submit("run")

    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert desk.service.jobs == []


@pytest.mark.slow
def test_a_service_that_is_not_there_is_told(desk: Desk) -> None:
    surroundings = desk.service.user_token()
    desk.service.stop()

    outcome = desk.submit("run", AZUREML_ACCESS_TOKEN=surroundings)

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: the workspace can't be opened")


def test_an_environment_that_is_ready_is_taken_as_the_workspace_has_it(desk: Desk) -> None:
    desk.service.add_environment("ACPT", "registry/acpt:7")

    sent = desk.submit("run", "--environment", "ACPT")
    missing = desk.submit("run", "--environment", "no-such")

    assert sent.status == 0, sent.err
    environment_section = desk.service.jobs[-1].definition["Configuration"]["environment"]
    assert (environment_section["name"], environment_section["docker"]["baseImage"]) == ("ACPT", "registry/acpt:7")
    assert "3.8.13" not in str(environment_section)
    assert (missing.status, missing.out) == (2, "")
    assert missing.err.startswith("error: --environment 'no-such': can't be had (")
    assert len(desk.service.jobs) == 1
