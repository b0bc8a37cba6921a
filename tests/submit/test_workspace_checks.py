"""What only the workspace knows is reported in a line each, and nothing is sent."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator, Fault
from tests.support.submitters import Submitter

Change = Callable[[Submitter], object]
NOTHING: Change = lambda submitter: None  # noqa: E731

A100S = "Standard_NC96ads_A100_v4"  # with four GPUs


def config(**changes: str) -> Change:
    """The user's config.json with other values."""

    def change(submitter: Submitter) -> None:
        path = submitter.folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def compute(**state: object) -> Change:
    return lambda submitter: submitter.service.set_compute_state("gpu-cluster", **state)


def fault(*arguments: object) -> Change:
    return lambda submitter: submitter.service.inject(Fault.status(*arguments))


MISTAKES: dict[str, tuple[Change, Sequence[str], str]] = {
    "no such cluster": (
        NOTHING,
        ["--compute", "gpu"],
        "--compute 'gpu': no such cluster in the workspace, which has 'gpu-cluster'; create it: python -m submit "
        "compute --name gpu --vm_size Standard_NC4as_T4_v3 --max_nodes 1",
    ),
    "a deleted cluster": (compute(provisioning_state="Deleting"), [], "the cluster is Deleting"),
    "a cluster that failed": (
        compute(provisioning_state="Failed", errors=["no quota for this size"]),
        [],
        "the cluster is Failed (no quota for this size)",
    ),
    "a compute that is no cluster": (compute(compute_type="DataFactory"), [], "expected a cluster (AmlCompute)"),
    "more nodes than the cluster has": (NOTHING, ["--nodes", "3"], "has 2 at most, so the job would wait for ever"),
    "more processes than GPUs": (
        NOTHING,
        ["--processes_per_node", "5"],
        f"--processes_per_node 5: {A100S} has 4 GPUs, and each process needs one; give 4 at most",
    ),
    "a dataset that isn't registered": (
        NOTHING,
        ["--dataset", "cifar"],
        "--dataset 'cifar': the workspace has no registered dataset of this name; it has 'cifar10'",
    ),
    "a version that the dataset hasn't": (NOTHING, ["--dataset", "cifar10:9"], "no such version; the last one is 1"),
    "a dataset of tables": (
        lambda submitter: submitter.service.add_dataset("prices", "data/prices", "tabular"),
        ["--dataset", "prices"],
        "is a dataset of type tabular; expected one of files",
    ),
    "a datastore that isn't there": (
        NOTHING,
        ["--dataset", "azureml://datastores/scratch/paths/cifar10"],
        "no datastore 'scratch'; it has 'workspaceblobstore'",
    ),
    "a folder without files": (
        NOTHING,
        ["--dataset", "data/birds"],
        "the datastore 'workspaceblobstore' has no files there; upload them: python -m submit upload --src DIR "
        "--target data/birds",
    ),
    "an environment that isn't there": (NOTHING, ["--environment", "ACPT"], "--environment 'ACPT': can't be found"),
    "a version that the environment hasn't": (
        lambda submitter: submitter.service.add_environment("ACPT", "registry/acpt:7"),
        ["--environment", "ACPT:5"],
        "--environment 'ACPT:5': can't be found",
    ),
    "a workspace that isn't there": (config(workspace_name="other"), [], "the workspace can't be opened"),
    "a subscription that isn't there": (
        config(subscription_id="99999999-0000-0000-0000-000000000000"),
        [],
        "the workspace can't be opened",
    ),
    "a token that has expired": (
        lambda submitter: submitter.service.revoke_tokens(),
        [],
        "the workspace can't be opened",
    ),
    "no right to the clusters": (fault(403, "/computes/"), [], "--compute 'gpu-cluster': the workspace doesn't say"),
    "no right to the datasets": (fault(403, "/dataset/"), [], "--dataset: the workspace doesn't say"),
    "no right to the datastore": (
        fault(403, "/datastore/"),
        ["--dataset", "data/cifar10"],
        "--dataset: the workspace doesn't say",
    ),
    "storage behind a firewall": (
        fault(403, "blobstore"),
        ["--dataset", "data/cifar10"],
        "--dataset: the workspace doesn't say",
    ),
}


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    user = Submitter(service, tmp_path).with_training()
    service.add_compute("gpu-cluster", A100S, 2)
    return user


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_that_only_the_workspace_knows_is_one_line(submitter: Submitter, mistake: str) -> None:
    change, flags, message = MISTAKES[mistake]
    change(submitter)
    image = () if "--environment" in flags else ("--docker_image", "x:1")
    defaults = ("--dataset", "cifar10", "--processes_per_node", "4", "--source_directory", "training")

    outcome = submitter.submit("run", *image, *defaults, *flags)

    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert submitter.service.jobs == []
    assert not [request for request in submitter.service.requests if "/snapshots" in request.path]


def test_all_mistakes_of_a_job_are_reported_at_once(submitter: Submitter) -> None:
    mistakes = ("--nodes", "3", "--processes_per_node", "8", "--dataset", "cifar")

    outcome = submitter.submit(*submitter.run_arguments(*mistakes))

    assert outcome.status == 2
    assert [line.split(":")[1].split()[0] for line in outcome.err.splitlines()] == [
        "--nodes",
        "--processes_per_node",
        "--dataset",
    ]


def test_what_a_job_leaves_unused_is_a_warning(submitter: Submitter) -> None:
    submitter.service.add_compute("cpu-cluster", "Standard_DS3_v2", 2)

    two_of_four = submitter.submit(*submitter.run_arguments("--processes_per_node", "2"))
    without_gpu = submitter.submit(*submitter.run_arguments("--compute", "cpu-cluster"))

    assert two_of_four.problems == (
        f"warning: --processes_per_node 2: {A100S} has 4 GPUs; the others would be paid for and not used\n"
    )
    assert without_gpu.problems == (
        "warning: --compute 'cpu-cluster': Standard_DS3_v2 has no GPU; the job trains on its processors\n"
    )
    assert len(submitter.service.jobs) == 2


def test_the_command_that_an_error_recommends_works(submitter: Submitter) -> None:
    refused = submitter.submit(*submitter.run_arguments("--compute", "gpu"))
    recommended = refused.err.partition("create it: python -m submit ")[2].split()

    created = submitter.submit(*recommended)
    sent = submitter.submit(*submitter.run_arguments("--compute", "gpu"))

    assert (created.status, sent.status) == (0, 0), created.err + sent.err
