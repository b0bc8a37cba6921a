"""Endpoints and deployments at the emulator that ``submit undeploy`` deletes with the unmodified azure-ai-ml."""

from pathlib import Path

import pytest

from submit.deployment.deleting import require_unused
from submit.deployment.deployment import Endpoint
from submit.emulator import AzureMLEmulator, Fault
from submit.errors import SubmitError
from tests.support.commands import Outcome
from tests.support.exports import make_export
from tests.support.submit_in_process import InProcess


class Owner(InProcess):
    """A user with an endpoint whose deployments are blue, with all requests, and green."""

    def deploy(self, *arguments: str) -> None:
        outcome = self.submit("deploy", "run", "--sdk", "v2", "--endpoint", "pictures", *arguments)
        assert outcome.status == 0, outcome.err

    def undeploy(self, *arguments: str) -> Outcome:
        return self.submit("undeploy", *arguments)

    @property
    def traffic(self) -> dict[str, int]:
        """Of all deployments of the endpoint."""
        (endpoint,) = self.service.endpoints
        return {name: endpoint.traffic.get(name, 0) for name in endpoint.deployments}


@pytest.fixture
def owner(service: AzureMLEmulator, tmp_path: Path) -> Owner:
    service.set_creation_time(0)
    make_export(tmp_path / "run" / "export")
    return Owner(service, tmp_path)


def test_a_deployment_is_deleted_when_it_gets_no_requests_and_then_the_endpoint(owner: Owner) -> None:
    owner.deploy()
    owner.deploy("--deployment", "green")
    both = {"blue": 100, "green": 0}

    shown = owner.undeploy("--endpoint", "pictures", "--dry_run")
    assert (shown.status, shown.err) == (0, "")
    everything = "the endpoint pictures with its deployments: blue (100 % of the requests), green (0 % of the requests)"
    assert shown.out == f"Would delete {everything}; nothing is deleted.\n"
    used = owner.undeploy("--endpoint", "pictures", "--deployment", "blue")
    assert (used.status, used.out) == (2, "")
    assert used.err == (
        "error: --deployment 'blue': gets 100 % of the requests of 'pictures'; give them to another one first: "
        'az ml online-endpoint update --name pictures --traffic "blue=0 green=100"\n'
    )
    assert owner.traffic == both

    one = owner.undeploy("--endpoint", "pictures", "--deployment", "green")
    assert (one.status, one.out) == (0, "Deleted pictures/green, which gets no requests.\n"), one.err
    assert owner.traffic == {"blue": 100}
    alone = owner.undeploy("--endpoint", "pictures", "--deployment", "blue")
    assert alone.err.startswith("error: --deployment 'blue': is the only one of 'pictures' and gets its requests; ")

    gone = owner.undeploy("--endpoint", "pictures")
    deleted = "the endpoint pictures with its deployments: blue (100 % of the requests)."
    assert (gone.status, gone.out, gone.err) == (0, f"Deleted {deleted}\n", f"Deleting {deleted}\n")
    assert owner.service.endpoints == []
    again = owner.undeploy("--endpoint", "pictures")
    assert (again.status, again.out) == (2, "")
    assert again.err == "error: --endpoint 'pictures': the workspace has no such endpoint; it has none\n"
    assert owner.service.unknown == []


def test_the_last_deployment_leaves_the_endpoint_and_the_command_that_deletes_it(owner: Owner) -> None:
    owner.deploy("--traffic", "0")

    outcome = owner.undeploy("--endpoint", "pictures", "--deployment", "blue")

    assert outcome.out.splitlines() == [
        "Deleted pictures/blue, which gets no requests.",
        "It was the last one; the endpoint: python -m submit undeploy --endpoint pictures",
    ]
    assert owner.traffic == {}


def test_what_is_not_there_is_one_line_with_what_is(owner: Owner) -> None:
    owner.deploy()

    for arguments, message in (
        (("--endpoint", "picture"), "--endpoint 'picture': the workspace has no such endpoint; it has pictures"),
        (
            ("--endpoint", "pictures", "--deployment", "red"),
            "--deployment 'red': the endpoint 'pictures' has no such deployment; it has blue",
        ),
        (("--endpoint", "pictures", "--deployment", "a/b"), "--deployment 'a/b': expected 3 to 32 letters, digits and"),
        (("--endpoint", "../x"), "--endpoint '../x': expected 3 to 32 letters, digits and hyphens"),
        ((), "the following arguments are required: --endpoint"),
        (("--endpoint", "pictures", "--sdk", "v1"), "an online endpoint needs SDK v2: give --sdk v2"),
        (("--endpoint", "pictures", "--force"), "--force: undeploy has no such flag; see python -m submit undeploy"),
    ):
        outcome = owner.undeploy(*arguments)
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
        assert outcome.err.startswith(f"error: {message}"), outcome.err
    assert owner.traffic == {"blue": 100}


def test_a_service_that_refuses_is_one_line(owner: Owner) -> None:
    owner.deploy("--traffic", "0")
    owner.service.inject(Fault.status(400, "/onlineEndpoints/pictures/deployments/blue"))

    outcome = owner.undeploy("--endpoint", "pictures", "--deployment", "blue")

    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.splitlines()[-1].startswith("error: deployment 'blue': ")
    assert owner.traffic == {"blue": 0}


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"a": 60, "b": 30, "c": 10}, '"a=0 b=75 c=25"'),
        ({"a": 100, "b": 0, "c": 0}, '"a=0 b=100"'),
        ({"a": 50, "b": 50}, '"a=0 b=100"'),
    ],
)
def test_the_command_moves_the_requests_in_proportion(shares: dict[str, int], expected: str) -> None:
    with pytest.raises(SubmitError) as refused:
        require_unused(Endpoint("birds", "https://birds/score", shares), "a")

    assert str(refused.value).endswith(expected)
