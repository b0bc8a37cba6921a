"""The commands with ``--sdk v2`` on jobs that nobody carries out, with the unmodified azure-ai-ml."""

import re
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.projects import write_files
from tests.support.submit_in_process import InProcess
from tests.support.submitters import TRAINING

LOG = "user_logs/std_log_process_0.txt"
JOB = ("run", "--docker_image", "x:1", "--source_directory", "training", "--dataset", "images", "--sdk", "v2")


@pytest.fixture
def user(service: AzureMLEmulator, tmp_path: Path) -> InProcess:
    """With a cluster of two nodes, a data asset, and a training without findings."""
    service.add_compute("gpu-cluster", "Standard_NC24ads_A100_v4", 2)
    service.add_data("images", "data/cifar10")
    service.add_datastore_file("data/cifar10/batches.meta", b"")
    write_files(tmp_path / "training", {name: content.encode() for name, content in TRAINING.items()})
    return InProcess(service, tmp_path)


def test_a_job_is_sent_as_the_flags_say_and_cancelled(user: InProcess) -> None:
    user.service.add_data("images", "data/cifar10", version="2026-06.a")
    job = [*JOB, "--dataset", "images:2026-06.a"]

    sent = user.submit(*job, "--nodes", "2", "--num_epochs", "3", "--tag", "team=x")
    assert sent.status == 0, sent.err
    cost, chosen = sent.err.splitlines()
    assert cost.startswith("note: cost: at most 5,289.12 USD (2 Standard_NC24ads_A100_v4 x 3.673 USD an hour x 720 h")
    assert re.fullmatch(r"note: sent with Azure ML SDK v2 \(azure-ai-ml [\w.]+\): given by --sdk", chosen)
    run = sent.out.split()[1]
    user.service.add_artifact(run, LOG, b"first line\nlast line\n")

    log, names = user.submit("logs", run, "--sdk", "v2"), user.submit("logs", run, "--list", "--sdk", "v2")
    cancelled = user.submit("cancel", run, "--sdk", "v2")

    properties = user.service.jobs[-1].definition["properties"]
    assert (properties["resources"]["instanceCount"], properties["tags"]) == (2, {"team": "x"})
    assert properties["inputs"]["data"]["uri"].endswith("/data/images/versions/2026-06.a")
    assert properties["command"].startswith("python -m lightning_app.fit --num_epochs 3 --data_path ${{inputs.data}} ")
    assert {"lightning_app/fit.py", "pyproject.toml"} <= user.service.jobs[-1].files.keys()
    assert (log.status, log.out, log.err) == (0, "first line\nlast line\n", "")
    assert names.out == f"{LOG}\n"
    assert (cancelled.status, cancelled.out) == (0, f"{run} is being canceled.\n")
    assert user.service.run(run).status == "Canceled"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--compute", "no-cluster"),
            "--compute 'no-cluster': no such cluster in the workspace, which has ",
        ),
        (("--nodes", "3"), "has 2 at most, so the job would wait for ever"),
        (("--dataset", "imagse"), "--dataset 'imagse': the workspace has no registered dataset of this name"),
        (("--dataset", "images:9"), "--dataset images:9: no such version; the last one is 1"),
        (("--dataset", "images:june"), "--dataset images:june: no such version; the last one is 1"),
        (("--dataset", "data/nowhere"), "the datastore 'workspaceblobstore' has no files there"),
        (("--compute", "serverless", "--vm_size", "Standard_NC4as_T4_v9"), "westeurope has no such machines"),
    ],
)
def test_what_the_workspace_does_not_have_is_one_line(user: InProcess, flags: tuple[str, ...], message: str) -> None:
    outcome = user.submit(*JOB, *flags)

    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert (outcome.status, outcome.out, len(errors)) == (2, "", 1), outcome.err
    assert message in errors[0]
    assert user.service.jobs == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--name cifar10:latest", "--name 'cifar10:latest': expected NAME or NAME:VERSION"),
        ("--name cifar10:a+b", "--name 'cifar10:a+b': expected NAME or NAME:VERSION"),
        ("--name data/cifar10", "--name 'data/cifar10': expected NAME or NAME:VERSION"),
        ("--name cifar10 --sdk v1", "--name: needs SDK v2: give --sdk v2; with SDK v1, --dataset takes the folder"),
    ],
)
def test_a_data_asset_that_cannot_be_registered_is_one_line(user: InProcess, flags: str, message: str) -> None:
    sdk = () if "--sdk" in flags else ("--sdk", "v2")

    outcome = user.submit("upload", "--src", "training", "--target", "data/x", *flags.split(), *sdk)

    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert outcome.err.startswith(f"error: {message}")
    assert not [path for path in user.service.datastore if path.startswith("data/x")]
