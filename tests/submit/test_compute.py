"""``python -m submit compute`` against the loopback service, each command in a process of its own."""

import pytest

from submit.emulator import AzureMLEmulator, Fault
from tests.support.submitters import Submitter, until

pytestmark = pytest.mark.slow


T4 = "Standard_NC4as_T4_v3"
FLAGS = ("compute", "--name", "gpu-cluster", "--vm_size", T4, "--max_nodes", "4")


def described_clusters(service: AzureMLEmulator) -> list[tuple[str, str, int, int, str, str]]:
    return [(c.name, c.vm_size, c.min_nodes, c.max_nodes, c.priority.lower(), c.idle_time) for c in service.computes]


def reads(service: AzureMLEmulator) -> int:
    return sum(request.method == "GET" and "/computes/" in request.path for request in service.requests)


def changes(service: AzureMLEmulator) -> list[str]:
    return [request.method for request in service.requests if request.method != "GET"]


def test_a_cluster_is_created_and_found_again(submitter: Submitter) -> None:
    first = submitter.submit(*FLAGS)
    second = submitter.submit(*FLAGS)

    described = f"{T4}, 0 to 4 nodes, dedicated\n"
    assert (first.status, first.out) == (0, f"gpu-cluster is created: {described}"), first
    assert first.err == "Waiting for gpu-cluster: Creating\n"
    assert (second.status, second.out, second.err) == (0, f"gpu-cluster exists: {described}", "")
    assert described_clusters(submitter.service) == [("gpu-cluster", T4, 0, 4, "dedicated", "PT1800S")]
    assert changes(submitter.service) == ["PUT"]


def test_a_cluster_is_created_as_it_is_asked_for(submitter: Submitter) -> None:
    outcome = submitter.submit(*FLAGS, "--min_nodes", "1", "--idle_seconds", "600", "--low_priority")

    assert outcome.status == 0, outcome
    assert outcome.out == f"gpu-cluster is created: {T4}, 1 to 4 nodes, low priority\n"
    assert described_clusters(submitter.service) == [("gpu-cluster", T4, 1, 4, "lowpriority", "PT600S")]


def test_where_a_cluster_differs_is_reported_a_line_each(submitter: Submitter) -> None:
    submitter.service.add_compute("gpu-cluster", "STANDARD_NC24ADS_A100_V4", 2)

    outcome = submitter.submit(*FLAGS, "--min_nodes", "1", "--idle_seconds", "600", "--low_priority")

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "gpu-cluster exists: STANDARD_NC24ADS_A100_V4, 0 to 2 nodes, dedicated",
        f"vm_size is STANDARD_NC24ADS_A100_V4, not {T4}; it can't be changed; use another --name if it matters",
        "priority is dedicated, not low priority; it can't be changed; use another --name if it matters",
        "max_nodes is 2, not 4; change it in the portal",
        "min_nodes is 0, not 1; change it in the portal",
        "idle_seconds is 1800, not 600; change it in the portal",
    ]
    assert changes(submitter.service) == []


def test_the_case_of_a_size_makes_no_difference(submitter: Submitter) -> None:
    submitter.service.add_compute("gpu-cluster", T4.upper(), 4)

    outcome = submitter.submit(*FLAGS)

    assert outcome.out == f"gpu-cluster exists: {T4.upper()}, 0 to 4 nodes, dedicated\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--vm_size V100", "--vm_size 'V100': expected the name of a size, such as 'Standard_NC4as_T4_v3'"),
        ("--name g", "--name 'g'"),
        ("--name local", "--name 'local': the name is reserved by Azure ML; take another"),
        ("--max_nodes 0", "--max_nodes: '0' given; expected a whole number of at least 1"),
        ("--min_nodes -1", "--min_nodes: '-1' given; expected a whole number"),
        ("--min_nodes 5", "--min_nodes 5 and --max_nodes 4: expected --min_nodes to be at most --max_nodes"),
        ("--idle_seconds soon", "--idle_seconds: 'soon' given; expected a whole number of at least 1"),
        ("--nodes 3", "--nodes: compute has no such flag"),
        ("--workspace no.json", "--workspace 'no.json': no such file"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_asked(submitter: Submitter, flags: str, message: str) -> None:
    outcome = submitter.submit(*FLAGS, *flags.split())

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err
    assert submitter.service.requests == []


def test_a_size_that_is_not_there_is_reported_with_the_nearest(submitter: Submitter) -> None:
    outcome = submitter.submit(*FLAGS, "--vm_size", "Standard_NC4as_T4_v4")

    assert outcome.status == 2
    assert outcome.err == (
        "error: --vm_size 'Standard_NC4as_T4_v4': westeurope has no such machines; nearest are "
        "'Standard_NC4as_T4_v3', 'Standard_NC64as_T4_v3', 'Standard_NC16as_T4_v3'\n"
    )
    assert changes(submitter.service) == []


@pytest.mark.parametrize(
    ("size", "instead"),
    [("STANDARD_NC6", "Standard_NC4as_T4_v3"), ("Standard_NC24rs_v3", "Standard_NC96ads_A100_v4")],
)
@pytest.mark.parametrize("listed", [True, False])
def test_a_retired_size_is_reported_with_its_successor(
    submitter: Submitter, size: str, instead: str, listed: bool
) -> None:
    if not listed:
        submitter.service.inject(Fault.status(403, path="/vmSizes"))

    outcome = submitter.submit(*FLAGS, "--vm_size", size)

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: --vm_size {size!r}: ")
    assert outcome.err.endswith(f"Azure has retired this size; take {instead!r}\n")
    assert changes(submitter.service) == []


def test_a_user_without_access_to_the_sizes_can_create(submitter: Submitter) -> None:
    submitter.service.inject(Fault.status(403, path="/vmSizes"))

    outcome = submitter.submit(*FLAGS)

    assert outcome.status == 0, outcome
    assert len(submitter.service.computes) == 1


def test_a_missing_quota_is_reported_in_azures_words(submitter: Submitter) -> None:
    submitter.service.inject(Fault.quota())

    outcome = submitter.submit(*FLAGS)

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == (
        f"error: creating 'gpu-cluster' failed: The specified subscription has a {T4} vCPU quota of 0 and cannot "
        "accommodate for at least 1 requested managed compute node which maps to 4 vCPUs. Talk to your Subscription "
        "Admin to increase the quota.\n"
    )
    assert submitter.service.computes == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/rp/workspaces/", "can't look up the cluster 'gpu-cluster': fault injection: status 403"),
        ("/workspaces/emulator/computes/gpu-cluster", "fault injection: status 403"),
    ],
)
def test_refusals_are_one_line(submitter: Submitter, path: str, message: str) -> None:
    submitter.service.inject(Fault.status(403, path=path))

    outcome = submitter.submit(*FLAGS)

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


def test_a_wait_survives_a_short_outage(submitter: Submitter) -> None:
    def statuses() -> list[int | None]:
        return [request.status for request in submitter.service.requests if "/rp/workspaces/" in request.path]

    def failures() -> list[int | None]:
        return [status for status in statuses() if status not in (200, 404)]

    submitter.service.set_creation_time(60.0)
    process = submitter.start(*FLAGS)
    until(lambda: 200 in statuses())

    submitter.service.inject(Fault.status(408, path="/rp/workspaces/", times=2))  # which azureml-core doesn't ask again
    submitter.service.inject(Fault.drop("/rp/workspaces/", times=1))
    until(lambda: len(failures()) == 3)
    submitter.service.set_compute_state("gpu-cluster", "Succeeded")
    outcome = submitter.finish(process)

    assert outcome.status == 0, outcome
    assert failures() == [408, 408, None]


def test_a_cluster_that_is_deleted_meanwhile_is_not_waited_for(submitter: Submitter) -> None:
    submitter.service.set_creation_time(60.0)
    process = submitter.start(*FLAGS)
    until(
        lambda: any(request.method == "GET" and "/computes/" in request.path for request in submitter.service.requests)
    )
    until(lambda: len(submitter.service.computes) == 1)

    submitter.service.inject(Fault.status(404, path="/rp/workspaces/"))
    outcome = submitter.finish(process)

    assert outcome.status == 1
    assert "ComputeTargetNotFound" in outcome.err.splitlines()[-1]


def test_an_interrupted_wait_goes_on(submitter: Submitter) -> None:
    submitter.service.set_creation_time(60.0)

    first = submitter.interrupt(submitter.start(*FLAGS), lambda: len(submitter.service.computes) == 1)
    process = submitter.start(*FLAGS)
    assert process.stderr is not None
    waits = process.stderr.readline()
    submitter.service.set_compute_state("gpu-cluster", "Succeeded")
    second = submitter.finish(process)

    assert (first.status, first.out) == (130, "")
    assert first.err.splitlines()[-1] == ("interrupted; Azure continues; the same command waits for it")
    assert second.status == 0, second
    assert waits == "Waiting for gpu-cluster: Creating\n"
    assert second.out.startswith("gpu-cluster exists: ")


def test_a_failed_creation_is_reported(submitter: Submitter) -> None:
    submitter.service.set_creation_time(60.0)
    process = submitter.start(*FLAGS)
    until(lambda: len(submitter.service.computes) == 1)

    submitter.service.set_compute_state("gpu-cluster", "Failed", ["Operation results in exceeding quota."])
    outcome = submitter.finish(process)

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.splitlines()[-1] == "error: 'gpu-cluster' isn't ready: Operation results in exceeding quota."


def test_the_minimum_of_nodes_is_waited_for(submitter: Submitter) -> None:
    process = submitter.start(*FLAGS, "--min_nodes", "1")
    until(lambda: len(submitter.service.computes) == 1)
    submitter.service.set_compute_state("gpu-cluster", "Succeeded", current_nodes=0)
    until(lambda: reads(submitter.service) >= 4)
    assert process.poll() is None

    submitter.service.set_compute_state("gpu-cluster", current_nodes=1)
    outcome = submitter.finish(process)

    assert outcome.status == 0, outcome
    assert outcome.err.startswith("Waiting for gpu-cluster: ")


def test_the_services_error_about_a_cluster_is_shown(submitter: Submitter) -> None:
    submitter.service.add_compute("gpu-cluster", T4, 4)
    submitter.service.set_compute_state("gpu-cluster", errors=["No quota for 2 of 4 nodes."])

    outcome = submitter.submit(*FLAGS)

    assert (outcome.status, outcome.err) == (0, "warning: No quota for 2 of 4 nodes.\n")
    assert outcome.out.startswith("gpu-cluster exists: ")


def test_something_else_of_that_name_is_reported(submitter: Submitter) -> None:
    submitter.service.add_compute("gpu-cluster", T4, 4)
    submitter.service.set_compute_state("gpu-cluster", compute_type="DataFactory")

    outcome = submitter.submit(*FLAGS)

    assert outcome.status == 2
    assert outcome.err == (
        "error: --name 'gpu-cluster': the workspace has a compute of this name, of type DataFactory; "
        "take another name\n"
    )
