"""New runs that go on from what another one has left."""

import json
from pathlib import Path
from typing import Any

import pytest

from submit.commands.flags import job_options
from submit.describe import describe_job
from submit.emulator import AzureMLEmulator
from submit.errors import SubmitError
from submit.job import DatastorePath, Job
from submit.main import parse_command
from submit.v1.job import build_request
from submit.v1.request import resumed_job
from tests.support.submitters import Submitter

pytestmark = pytest.mark.slow

LAST = "outputs/checkpoints/last.ckpt"
OUTPUTS = "ExperimentRun/dcid.run_1/outputs"
REFERENCE = {
    "dataStoreName": "workspaceartifactstore",
    "pathOnDataStore": OUTPUTS,
    "mode": "mount",
    "overwrite": False,
    "pathOnCompute": None,
}


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    return Submitter(service, tmp_path).with_training()


def recorded(flags: str) -> dict[str, Any]:
    """The definition of the job that these flags make."""
    _, options, training = parse_command(["run", *flags.split()])
    found: dict[str, Any] = build_request(describe_job(job_options(options), training))["Configuration"]
    return found


def resumed(definition: dict[str, Any], *training: str) -> Job:
    return resumed_job(definition, "cifar", Path(), DatastorePath("workspaceartifactstore", OUTPUTS, "mount"), training)


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--nodes 2 --processes_per_node 4 --launcher mpi --compute other --shm_size 16g --max_duration 2h",
        "--nodes 2 --processes_per_node 4 --dataset cifar10:3 --download_dataset --env A=b --num_epochs 3",
        "--dataset azureml://datastores/photos/paths/birds --model ResNetTransfer",
        "--environment AzureML-ACPT:7",
        "--docker_image me/image:1",
    ],
)
def test_a_resumed_job_is_the_same_but_for_where_it_begins(flags: str) -> None:
    before = recorded(flags)

    after = build_request(resumed(before, "--num_epochs", "20"))["Configuration"]

    assert after.pop("command") == f"{before['command']} --num_epochs 20 --resume $AZUREML_DATAREFERENCE_resume"
    assert after["dataReferences"].pop("resume") == REFERENCE
    assert after == {name: content for name, content in before.items() if name != "command"}


def test_a_run_that_was_resumed_can_be_gone_on_from() -> None:
    first = recorded("--num_epochs 3")

    second = build_request(resumed(first))["Configuration"]
    third = build_request(resumed(second))["Configuration"]

    assert third == second


@pytest.mark.parametrize("flag", ["--resume", "--data_path=x", "--trainer.devices", "--trainer.num_nodes"])
def test_what_the_run_has_from_the_other_one_cannot_be_given(flag: str) -> None:
    with pytest.raises(SubmitError, match=f"{flag.partition('=')[0]}: the new run takes this from the run that"):
        resumed(recorded(""), flag)


def test_a_command_that_submit_has_not_sent_is_reported() -> None:
    with pytest.raises(SubmitError, match="expected a run that submit run has sent"):
        resumed({"command": "python train.py"})


def test_resume_sends_a_job_that_begins_with_the_last_checkpoint(submitter: Submitter) -> None:
    run = submitter.send("--nodes", "2", "--dataset", "data/cifar10", "--experiment", "cifar", "--num_epochs", "3")
    submitter.service.add_artifact(run, LAST, b"last")
    submitter.service.set_run_status(run, "Failed", "preempted")

    done = submitter.submit("resume", run, "--source_directory", "training", "--num_epochs", "9")

    assert (done.status, done.problems) == (0, "")
    first, second = submitter.service.jobs
    assert done.out.split()[:2] == ["Run", second.run_id]
    assert (second.experiment, second.files) == ("cifar", first.files)
    configuration = second.definition["Configuration"]
    assert configuration["command"].endswith("--num_epochs 9 --resume $AZUREML_DATAREFERENCE_resume")
    assert "--data_path $AZUREML_DATAREFERENCE_data " in configuration["command"]
    references = configuration["dataReferences"]
    assert references["resume"]["pathOnDataStore"] == f"ExperimentRun/dcid.{run}/outputs"
    assert references["data"]["pathOnDataStore"] == "data/cifar10"
    assert (configuration["nodeCount"], configuration["pytorch"]["processCount"]) == (2, 2)


@pytest.mark.parametrize("sdk", ["v1", "v2"])
@pytest.mark.parametrize(
    ("steps", "folder"),
    [
        ({"outputs/mine": 5}, "outputs/mine"),
        ({"outputs/mine": 5, "outputs/retry_001/mine": 9}, "outputs/retry_001/mine"),
        ({"outputs/mine": 5, "outputs/mine/previous/1": 9}, "outputs/mine"),
        ({"outputs": 5, "outputs/retry_001": 9}, "outputs"),  # the training finds the attempts in it
        ({"outputs": 5, "retry_001/outputs": 9}, "retry_001/outputs"),
        ({"logs/run": 5}, "logs/run"),
    ],
)
def test_a_run_is_resumed_from_its_run_folder_whatever_its_output_dir(
    submitter: Submitter, sdk: str, steps: dict[str, int], folder: str
) -> None:
    run = submitter.send("--sdk", sdk, "--dataset", "data/cifar10", "--output_dir", "outputs/mine")
    for each, count in steps.items():
        submitter.service.add_artifact(run, f"{each}/checkpoints/last.ckpt", b"last")
        submitter.service.add_artifact(run, f"{each}/checkpoints/last.ckpt.json", b'{"step": %d}' % count)
    submitter.service.set_run_status(run, "Failed")

    done = submitter.submit("resume", run, "--source_directory", "training", "--sdk", sdk)

    assert (done.status, done.problems) == (0, "")
    definition = json.dumps(submitter.service.jobs[-1].definition)
    assert f'ExperimentRun/dcid.{run}/{folder}"' in definition
    assert " outputs/mine " in definition


@pytest.mark.parametrize(
    ("files", "status", "message"),
    [
        ({LAST: b""}, "Running", "is Running; it can be resumed when it has ended"),
        ({}, "Failed", f"has no checkpoint from which a training could continue, such as {LAST}"),
        ({"outputs/previous/1/checkpoints/last.ckpt": b""}, "Failed", "has no checkpoint from which a training could"),
        ({LAST: b""}, "Completed", "the run's command is ''; expected a run that submit run has sent"),
    ],
)
def test_a_run_that_cannot_be_resumed_is_reported(
    submitter: Submitter, files: dict[str, bytes], status: str, message: str
) -> None:
    done = submitter.submit("resume", submitter.add_run(files, status), "--source_directory", "training")

    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert submitter.service.jobs == []


@pytest.mark.parametrize(
    ("recorded_flags", "flags", "message"),
    [
        (["--num_epochs", "3"], [], "has completed its 3 epochs; to train on, give a higher --num_epochs"),
        (["--num_epochs", "3"], ["--num_epochs", "3"], "--num_epochs 3: run"),
        ([], [], "has completed its epochs; to train on, give a higher --num_epochs"),
        (["--trainer.max_steps", "9"], ["--trainer.max_steps", "5"], "--trainer.max_steps 5: run"),
    ],
)
def test_a_finished_run_is_not_sent_again_without_more_to_train(
    submitter: Submitter, recorded_flags: list[str], flags: list[str], message: str
) -> None:
    run = submitter.send(*recorded_flags)
    submitter.service.add_artifact(run, LAST, b"last")
    submitter.service.set_run_status(run, "Completed")

    done = submitter.submit("resume", run, "--source_directory", "training", *flags)

    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert len(submitter.service.jobs) == 1


def test_a_finished_run_trains_on_with_more_epochs_on_another_cluster(submitter: Submitter) -> None:
    submitter.service.add_compute("dedicated", "Standard_NC24ads_A100_v4", 2)
    flags = ("--num_epochs", "3", "--docker_image", "me/image", "--env", "API_KEY=1")
    sent = submitter.submit(*submitter.run_arguments(*flags))
    run = sent.out.split()[1]
    submitter.service.add_artifact(run, LAST, b"last")
    submitter.service.set_run_status(run, "Completed")

    done = submitter.submit(
        "resume", run, "--source_directory", "training", "--num_epochs", "9", "--compute", "dedicated"
    )

    assert sent.err.count("warning: ") == 2
    assert (done.status, done.problems) == (0, "")  # nothing about what the other run has
    assert submitter.service.jobs[-1].definition["Configuration"]["target"] == "dedicated"
