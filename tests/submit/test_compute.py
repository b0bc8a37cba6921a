"""``python -m submit compute`` against the loopback service, each command in a process of its own."""

from typing import Any

import pytest

from submit.emulator import AzureMLEmulator, Fault
from submit.emulator.api import computes
from tests.support.submitters import Person, person, until

pytestmark = pytest.mark.slow


__all__ = ["person"]  # the fixture

T4 = "Standard_NC4as_T4_v3"
FLAGS = ("compute", "--name", "gpu-cluster", "--vm_size", T4, "--max_nodes", "4")


def facts(service: AzureMLEmulator) -> list[tuple[str, str, int, int, str, str]]:
    return [(c.name, c.vm_size, c.min_nodes, c.max_nodes, c.priority.lower(), c.idle_time) for c in service.computes]


def changes(service: AzureMLEmulator) -> list[str]:
    return [request.method for request in service.requests if request.method != "GET"]


def test_a_cluster_is_created_and_found_again(person: Person) -> None:
    first = person.run(*FLAGS)
    second = person.run(*FLAGS)

    described = f"{T4}, 0 to 4 nodes, dedicated\n"
    assert (first.status, first.out) == (0, f"gpu-cluster is created: {described}"), first
    assert first.err == "gpu-cluster: Creating, 0 s\n"
    assert (second.status, second.out, second.err) == (0, f"gpu-cluster was there: {described}", "")
    assert facts(person.service) == [("gpu-cluster", T4, 0, 4, "dedicated", "PT1800S")]
    assert changes(person.service) == ["PUT"]


def test_a_cluster_is_created_as_it_is_asked_for(person: Person) -> None:
    outcome = person.run(*FLAGS, "--min_nodes", "1", "--idle_seconds", "600", "--low_priority")

    assert outcome.status == 0, outcome
    assert outcome.out == f"gpu-cluster is created: {T4}, 1 to 4 nodes, low priority\n"
    assert facts(person.service) == [("gpu-cluster", T4, 1, 4, "lowpriority", "PT600S")]


def test_where_a_cluster_differs_is_told_a_line_each(person: Person) -> None:
    person.service.add_compute("gpu-cluster", "STANDARD_NC24ADS_A100_V4", 2)

    outcome = person.run(*FLAGS, "--min_nodes", "1", "--idle_seconds", "600", "--low_priority")

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "gpu-cluster was there: STANDARD_NC24ADS_A100_V4, 0 to 2 nodes, dedicated",
        f"vm_size is STANDARD_NC24ADS_A100_V4, not {T4}; it can't be changed, so take another --name if it matters",
        "priority is dedicated, not low priority; it can't be changed, so take another --name if it matters",
        "max_nodes is 2, not 4; the portal changes it",
        "min_nodes is 0, not 1; the portal changes it",
        "idle_seconds is 1800, not 600; the portal changes it",
    ]
    assert changes(person.service) == []


def test_the_case_of_a_size_makes_no_difference(person: Person) -> None:
    person.service.add_compute("gpu-cluster", T4.upper(), 4)

    outcome = person.run(*FLAGS)

    assert outcome.out == f"gpu-cluster was there: {T4.upper()}, 0 to 4 nodes, dedicated\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "--vm_size STANDARD_NC6",
            "--vm_size 'STANDARD_NC6': Azure has retired this size; take 'Standard_NC4as_T4_v3'",
        ),
        ("--vm_size Standard_NC24rs_v3", "Azure has retired this size; take 'Standard_NC96ads_A100_v4'"),
        ("--vm_size V100", "--vm_size 'V100': expected the name of a size, such as 'Standard_NC4as_T4_v3'"),
        ("--name g", "--name 'g'"),
        ("--name local", "--name 'local': azureml-core means something else by it; take another name"),
        ("--max_nodes 0", "--max_nodes: '0' given; expected a whole number of at least 1"),
        ("--min_nodes -1", "--min_nodes: '-1' given; expected a whole number"),
        ("--min_nodes 5", "--min_nodes 5 and --max_nodes 4: the first can't be the greater one"),
        ("--idle_seconds soon", "--idle_seconds: 'soon' given; expected a whole number of at least 1"),
        ("--nodes 3", "--nodes: compute has no such flag"),
        ("--workspace no.json", "--workspace 'no.json': no such file"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_asked(person: Person, flags: str, message: str) -> None:
    outcome = person.run(*FLAGS, *flags.split())

    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err
    assert person.service.requests == []


def test_a_size_that_is_not_there_is_told_with_the_nearest(person: Person) -> None:
    outcome = person.run(*FLAGS, "--vm_size", "Standard_NC4as_T4_v4")

    assert outcome.status == 2
    assert outcome.err == (
        "error: --vm_size 'Standard_NC4as_T4_v4': westeurope has no such machines; nearest are "
        "'Standard_NC4as_T4_v3', 'Standard_NC64as_T4_v3', 'Standard_NC16as_T4_v3'\n"
    )
    assert changes(person.service) == []


def test_whoever_may_not_ask_for_sizes_may_create(person: Person) -> None:
    person.service.inject(Fault.status(403, path="/vmSizes"))

    outcome = person.run(*FLAGS)

    assert outcome.status == 0, outcome
    assert len(person.service.computes) == 1


def test_a_missing_quota_is_told_in_azures_words(person: Person) -> None:
    person.service.inject(Fault.quota())

    outcome = person.run(*FLAGS)

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == (
        f"error: creating 'gpu-cluster' failed: The specified subscription has a {T4} vCPU quota of 0 and cannot "
        "accommodate for at least 1 requested managed compute node which maps to 4 vCPUs. Talk to your Subscription "
        "Admin to increase the quota.\n"
    )
    assert person.service.computes == []


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/rp/workspaces/", "whether there is a cluster 'gpu-cluster' can't be known: fault injection: status 403"),
        ("/workspaces/emulator/computes/gpu-cluster", "can't be known: fault injection: status 403"),
    ],
)
def test_refusals_are_one_line(person: Person, path: str, message: str) -> None:
    person.service.inject(Fault.status(403, path=path))

    outcome = person.run(*FLAGS)

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


def test_a_wait_outlasts_a_moment_without_the_service(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def statuses() -> list[int | None]:
        return [request.status for request in person.service.requests if "/rp/workspaces/" in request.path]

    monkeypatch.setattr(computes, "CREATION_SECONDS", 3.0)
    process = person.start(*FLAGS)
    until(lambda: 200 in statuses())

    person.service.inject(Fault.status(408, path="/rp/workspaces/", times=2))  # which azureml-core doesn't ask again
    person.service.inject(Fault.drop("/rp/workspaces/", times=1))
    outcome = person.end(process)

    assert outcome.status == 0, outcome
    assert [status for status in statuses() if status not in (200, 404)] == [408, 408, None]


def test_a_cluster_that_is_deleted_meanwhile_is_not_waited_for(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computes, "CREATION_SECONDS", 60.0)
    process = person.start(*FLAGS)
    until(lambda: any(request.method == "GET" and "/computes/" in request.path for request in person.service.requests))
    until(lambda: len(person.service.computes) == 1)

    person.service.inject(Fault.status(404, path="/rp/workspaces/"))
    outcome = person.end(process)

    assert outcome.status == 1
    assert "ComputeTargetNotFound" in outcome.err.splitlines()[-1]


def test_an_interrupted_wait_goes_on(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computes, "CREATION_SECONDS", 4.0)

    first = person.interrupt(person.start(*FLAGS), lambda: len(person.service.computes) == 1)
    second = person.run(*FLAGS)

    assert (first.status, first.out) == (130, "")
    assert first.err.splitlines()[-1] == (
        "interrupted; Azure goes on with what it has begun; the same command waits for it"
    )
    assert second.status == 0, second
    assert second.err.startswith("gpu-cluster: Creating, 0 s\n")
    assert second.out.startswith("gpu-cluster was there: ")


def test_a_failed_creation_is_told(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def failed(compute: Any) -> dict[str, Any]:
        content = whole(compute)
        error = {"error": {"code": "ClusterCoreQuotaReached", "message": "Operation results in exceeding quota."}}
        content["properties"] |= {"provisioningState": "Failed", "provisioningErrors": [error]}
        return content

    whole = computes._content
    monkeypatch.setattr(computes, "_content", failed)

    outcome = person.run(*FLAGS)

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == "error: 'gpu-cluster' isn't ready: Operation results in exceeding quota.\n"


def test_nodes_that_it_must_have_are_waited_for(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def growing(compute: Any) -> dict[str, Any]:
        asked.append(compute.name)
        return whole(compute) | {"currentNodeCount": len(asked) // 4}

    asked: list[str] = []
    whole = computes._cluster
    monkeypatch.setattr(computes, "_cluster", growing)
    monkeypatch.setattr(computes, "CREATION_SECONDS", 0.0)

    outcome = person.run(*FLAGS, "--min_nodes", "1")

    assert outcome.status == 0, outcome
    assert outcome.err == "gpu-cluster: 0 of 1 nodes, 0 s\n"
    assert len(asked) == 4


def test_what_azure_says_of_a_cluster_is_passed_on(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"error": {"code": "ClusterCoreQuotaReached", "message": "No quota for 2 of 4 nodes."}}
    whole = computes._cluster
    monkeypatch.setattr(computes, "_cluster", lambda compute: whole(compute) | {"errors": [error]})
    person.service.add_compute("gpu-cluster", T4, 4)

    outcome = person.run(*FLAGS)

    assert (outcome.status, outcome.err) == (0, "warning: No quota for 2 of 4 nodes.\n")
    assert outcome.out.startswith("gpu-cluster was there: ")


def test_something_else_of_that_name_is_told(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(compute: Any) -> dict[str, Any]:
        content = whole(compute)
        content["properties"] |= {"computeType": "DataFactory"}
        return content

    whole = computes._content
    monkeypatch.setattr(computes, "_content", other)
    person.service.add_compute("gpu-cluster", T4, 4)

    outcome = person.run(*FLAGS)

    assert outcome.status == 2
    assert outcome.err == (
        "error: --name 'gpu-cluster': the workspace has a compute of this name, which is DataFactory; take another\n"
    )
