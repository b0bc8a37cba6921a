"""The commands with ``--sdk v2`` against the emulator, with the unmodified azure-ai-ml."""

import json
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.commands import Outcome
from tests.support.submitters import Submitter

pytestmark = pytest.mark.slow
BEST, LAST = "outputs/checkpoints/best.ckpt", "outputs/checkpoints/last.ckpt"
LOG = "user_logs/std_log_process_0.txt"
FILES = {BEST: b"best", LAST: b"last", LOG: b"first line\nlast line\n"}
JOB = ("run", "--docker_image", "x:1", "--source_directory", "training", "--dataset", "images")


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    service.add_data("images", "data/cifar10")
    return Submitter(service, tmp_path).with_training()


def v2(submitter: Submitter, *arguments: str) -> Outcome:
    outcome = submitter.submit(*arguments, "--sdk", "v2")
    assert submitter.service.unknown == []
    return outcome


def sent(submitter: Submitter, *arguments: str) -> str:
    """The id of a run that is sent, and has files."""
    outcome = v2(submitter, *JOB, *arguments)
    assert outcome.status == 0, outcome.err
    run = outcome.out.split()[1]
    for path, content in FILES.items():
        submitter.service.add_artifact(run, path, content)
    return run


def test_a_run_is_sent_read_and_cancelled(submitter: Submitter) -> None:
    run = sent(submitter, "--nodes", "2", "--num_epochs", "3", "--tag", "team=x")

    log, names = v2(submitter, "logs", run), v2(submitter, "logs", run, "--list")
    cancelled = v2(submitter, "cancel", run)

    properties = submitter.service.jobs[-1].definition["properties"]
    assert (properties["resources"]["instanceCount"], properties["tags"]) == (2, {"team": "x"})
    assert properties["command"].startswith("python -m lightning_app.fit --num_epochs 3 --data_path ${{inputs.data}} ")
    assert {"lightning_app/fit.py", "pyproject.toml"} <= submitter.service.jobs[-1].files.keys()
    assert (log.status, log.out, log.err) == (0, "first line\nlast line\n", "")
    assert names.out == f"{LOG}\n"
    assert (cancelled.status, cancelled.out) == (0, f"{run} is being canceled.\n")
    assert submitter.service.run(run).status == "Canceled"


def test_the_status_of_a_run_and_the_list_of_runs(submitter: Submitter) -> None:
    run = sent(submitter, "--nodes", "2")
    submitter.service.set_run_status(run, "Completed")

    status, listed = v2(submitter, "status", run, "--json"), v2(submitter, "list", "--json")

    assert status.status == 0, status.err
    shown = json.loads(status.out)
    assert (shown["run"], shown["status"], shown["nodes"]) == (run, "Completed", 2)
    assert [entry["run"] for entry in json.loads(listed.out)] == [run], listed.err


def test_the_best_checkpoint_becomes_a_model(submitter: Submitter) -> None:
    run = sent(submitter)
    submitter.service.set_run_status(run, "Completed")

    first, second = (v2(submitter, "register", run, "--name", "net", "--json") for _ in range(2))

    assert first.status == 0, first.err
    model = json.loads(second.out)
    assert (model["version"], model["checkpoint"], model["tags"]["run_id"]) == (2, BEST, run)


def test_checkpoints_are_downloaded_and_a_run_is_resumed(submitter: Submitter) -> None:
    run = sent(submitter, "--num_epochs", "3")
    submitter.service.set_run_status(run, "Completed")

    downloaded = v2(submitter, "download", run, "--what", "checkpoints", "--target", "here")
    resumed = v2(submitter, "resume", run, "--num_epochs", "5", "--source_directory", "training")

    assert downloaded.status == 0, downloaded.err
    assert (submitter.folder / "here" / LAST).read_bytes() == FILES[LAST]
    assert resumed.status == 0, resumed.err
    properties = submitter.service.jobs[-1].definition["properties"]
    assert properties["command"].endswith("--num_epochs 5 --resume ${{inputs.resume}}")
    assert properties["inputs"]["resume"]["uri"].endswith(f"/ExperimentRun/dcid.{run}/outputs")


def test_a_folder_is_uploaded_once(submitter: Submitter) -> None:
    (submitter.folder / "data").mkdir()
    (submitter.folder / "data" / "a.txt").write_bytes(b"a")

    first = v2(submitter, "upload", "--src", "data", "--target", "data/new")
    second = v2(submitter, "upload", "--src", "data", "--target", "data/new")

    assert (first.status, first.out.splitlines()[-1]) == (0, "--dataset data/new"), first.err
    assert submitter.service.datastore["data/new/a.txt"] == b"a"
    assert second.out.startswith("Sent 0 files (0 B); skipped 1 file (1 B)")


def test_a_cluster_is_created_and_found_again(submitter: Submitter) -> None:
    flags = ("compute", "--name", "new", "--vm_size", "Standard_NC4as_T4_v3", "--max_nodes", "4")

    first, second = v2(submitter, *flags), v2(submitter, *flags, "--low_priority")

    described = "Standard_NC4as_T4_v3, 0 to 4 nodes, dedicated\n"
    assert (first.status, first.out) == (0, f"new is created: {described}"), first.err
    assert second.out.startswith(f"new exists: {described}priority is dedicated, not low priority; "), second.err


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
        (("--dataset", "data/nowhere"), "the datastore 'workspaceblobstore' has no files there"),
        (("--compute", "serverless", "--vm_size", "Standard_NC4as_T4_v9"), "westeurope has no such machines"),
    ],
)
def test_what_the_workspace_does_not_have_is_one_line(
    submitter: Submitter, flags: tuple[str, ...], message: str
) -> None:
    outcome = v2(submitter, *JOB, *flags)

    errors = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert (outcome.status, outcome.out, len(errors)) == (2, "", 1), outcome.err
    assert message in errors[0]
    assert submitter.service.jobs == []
