"""``python -m submit run`` against the loopback service, with the unmodified SDK."""

import json
import re
from pathlib import Path

import pytest
import yaml

from submit.emulator import AzureMLEmulator, Fault
from submit.job import JOB_KEY
from submit.low_priority import VARIABLE
from tests.support.projects import copy_project, git
from tests.support.submitters import Submitter

SECRET = "s3cr" + "et-of-the-" + "test"
JOB = ("--nodes", "2", "--processes_per_node", "4", "--dataset", "cifar10", "--num_epochs", "3", "--env", "A=b c")


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    """A user in a copy of this project; the commands run with nothing else on the path."""
    project = copy_project(tmp_path / "project")
    service.add_compute("gpu-cluster", "Standard_NC96ads_A100_v4", 4)  # with four GPUs
    service.add_dataset("cifar10", "data/cifar10")
    return Submitter(service, project, tmp_path / "home")


def test_the_request_that_is_sent_is_that_of_the_dry_run(submitter: Submitter) -> None:
    dry = submitter.submit("run", "--dry_run", *JOB)
    sent = submitter.submit("run", *JOB)

    assert (dry.status, sent.status) == (0, 0), dry.err + sent.err
    job, shown = submitter.service.jobs[-1], yaml.safe_load(dry.out)["definition"]["Configuration"]
    shown["environmentVariables"][JOB_KEY] = job.definition["Configuration"]["environmentVariables"][JOB_KEY]
    assert job.definition["Configuration"] == shown
    assert sent.out.splitlines()[0] == f"Run {job.run_id}"
    assert sent.out.splitlines()[1].startswith("http")
    assert len(sent.out.splitlines()) == 2
    cost, chosen = sent.err.splitlines()
    assert cost.startswith("note: cost: at most 21,156.48 USD (2 Standard_NC96ads_A100_v4 x 14.692 USD an hour x 720 h")
    assert cost.endswith(", not those of westeurope")
    assert chosen.startswith("note: sent with Azure ML SDK v1 (azureml-core ")
    assert dry.out.splitlines()[0] == f"# {chosen.removeprefix('note: sent with ')}"


def test_each_job_of_several_processes_has_a_key_of_its_own(submitter: Submitter) -> None:
    for flags in (JOB, JOB, ()):
        assert submitter.submit("run", *flags).status == 0

    first, second, single = (job.definition["Configuration"]["environmentVariables"] for job in submitter.service.jobs)
    assert re.fullmatch("[0-9a-f]{32}", first[JOB_KEY])
    assert re.fullmatch("[0-9a-f]{32}", second[JOB_KEY])
    assert first[JOB_KEY] != second[JOB_KEY]
    assert JOB_KEY not in single


def test_a_job_on_a_low_priority_cluster_watches_for_its_eviction(submitter: Submitter) -> None:
    submitter.service.add_compute("cheap", "Standard_NC96ads_A100_v4", 4, "LowPriority")

    sent = submitter.submit("run", *JOB, "--compute", "cheap")

    assert sent.status == 0, sent.err
    notes = [line for line in sent.err.splitlines() if line.startswith("note: --compute 'cheap': ")]
    assert "Azure may take its low-priority nodes away" in notes[0]
    assert "the checkpoints that it copies to lightning-azureml/RUN" in notes[0]
    configuration = submitter.service.jobs[-1].definition["Configuration"]
    assert configuration["environmentVariables"][VARIABLE] == "1"
    assert configuration["command"].endswith(" --checkpoint_dir DatasetOutputConfig:checkpoints")


def test_the_snapshot_holds_the_program_and_no_more(submitter: Submitter) -> None:
    submitter.submit("run")

    files = submitter.service.jobs[-1].files
    assert {"lightning_app/fit.py", "models/cifar_net.py", "datamodules/cifar10.py", "pyproject.toml"} <= set(files)
    assert files["lightning_app/fit.py"] == (submitter.folder / "lightning_app" / "fit.py").read_bytes()
    assert not [path for path in files if path.startswith((".git/", "tests/", ".ci/")) or path.endswith("config.json")]


def test_a_secret_is_found_nowhere(submitter: Submitter) -> None:
    """In the environment, in the git remote, in config.json and in a file that nobody wants to send."""
    url = f"https://me:{SECRET}@example.com/project.git"
    git(submitter.folder, "remote", "set-url", "origin", url)
    config = submitter.folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"note": SECRET}))
    (submitter.folder / ".env").write_text(f"TOKEN={SECRET}\n")

    outcome = submitter.submit("run", *JOB, AZURE_SOMETHING=SECRET)

    assert outcome.status == 0, outcome.err
    job = submitter.service.jobs[-1]
    run = submitter.service.run(job.run_id)
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
    "devices given twice": (["--trainer.devices", "2"], "--processes_per_node sets it"),
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
def test_a_mistake_is_reported_and_no_job_is_sent(submitter: Submitter, mistake: str) -> None:
    flags, message = MISTAKES[mistake]
    before = {path for path in submitter.folder.rglob("*") if "__pycache__" not in path.parts}

    outcome = submitter.submit("run", *flags)

    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert all(line.startswith(("error: ", "warning: ", "note: ")) for line in outcome.err.splitlines())
    assert submitter.service.jobs == []
    assert {path for path in submitter.folder.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault.status(500, "/execution/"), "Azure ML didn't accept the job"),
        (Fault.status(403, "/execution/"), "Azure ML didn't accept the job"),
        (Fault.status(401, "/subscriptions"), "the workspace can't be opened"),
    ],
)
def test_a_service_that_fails_is_reported(submitter: Submitter, fault: Fault, message: str) -> None:
    submitter.service.inject(fault)

    outcome = submitter.submit("run", *JOB)

    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.problems.count("\n") == 1
    assert submitter.service.jobs == []


@pytest.mark.slow
def test_a_service_that_is_not_there_is_reported(submitter: Submitter) -> None:
    surroundings = submitter.service.user_token()
    submitter.service.stop()

    outcome = submitter.submit("run", *JOB, AZUREML_ACCESS_TOKEN=surroundings)

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: the workspace can't be opened")


def test_an_environment_that_is_ready_is_taken_as_the_workspace_has_it(submitter: Submitter) -> None:
    submitter.service.add_environment("ACPT", "registry/acpt:7")

    sent = submitter.submit("run", *JOB, "--environment", "ACPT")
    missing = submitter.submit("run", *JOB, "--environment", "no-such")

    assert sent.status == 0, sent.err
    environment_section = submitter.service.jobs[-1].definition["Configuration"]["environment"]
    assert (environment_section["name"], environment_section["docker"]["baseImage"]) == ("ACPT", "registry/acpt:7")
    assert "3.8.13" not in str(environment_section)
    assert (missing.status, missing.out) == (2, "")
    assert missing.err.startswith("error: --environment 'no-such': can't be found (")
    assert len(submitter.service.jobs) == 1
