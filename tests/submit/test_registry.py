"""Environments of a registry are looked up before a job is sent, with the unmodified azure-ai-ml."""

import json
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator, Fault
from tests.support.commands import ROOT
from tests.support.submitters_v2 import ENVIRONMENT, V2Submitter

SCRIPT = """
sys.path.insert(0, {root!r})
from submit.environments import named_environment
from submit.v2.workspace_checks import check_environment
for name in {names!r}:
    wanted = named_environment(f"azureml://registries/{{name}}" if "/" in name else name)
    found = [[finding.level, finding.text] for finding in check_environment(ml, wanted)]
    print(json.dumps(found))
"""
IN_AZUREML = "azureml/environments"


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> V2Submitter:
    service.add_registry_environment(ENVIRONMENT, "registry/acpt:1")
    return V2Submitter(service, tmp_path)


def findings(submitter: V2Submitter, *names: str) -> list[list[list[str]]]:
    """The findings about each of these environments."""
    lines = submitter.run_script(SCRIPT.format(root=str(ROOT), names=names)).splitlines()
    return [json.loads(line) for line in lines if line.startswith("[")]


def test_what_is_there_is_found_and_what_is_not_is_an_error(submitter: V2Submitter) -> None:
    submitter.service.add_environment("mine", "registry/mine:1")

    found = findings(
        submitter,
        f"{IN_AZUREML}/{ENVIRONMENT}/labels/latest",
        f"{IN_AZUREML}/{ENVIRONMENT}/versions/1",
        "mine",
        f"{IN_AZUREML}/{ENVIRONMENT}/versions/7",
        f"{IN_AZUREML}/acpt-pytorch-9/labels/latest",
        f"none/environments/{ENVIRONMENT}/versions/1",
        "other",
        "mine:7",
    )

    assert found[:3] == [[], [], []]
    for number, (((level, text),), name) in enumerate(
        zip(found[3:], ("7", "acpt-pytorch-9", "none", "other", "mine:7"), strict=True)
    ):
        assert (level, name in text) == ("error", True)
        where = ": there is no such environment in the registry (" if number < 3 else ": the workspace has no such env"
        assert where in text
    assert submitter.service.unknown == []


def test_a_registry_that_does_not_say_is_a_warning(submitter: V2Submitter) -> None:
    submitter.service.inject(Fault.status(403, "/registries/azureml/"))

    ((found,),) = findings(submitter, f"{IN_AZUREML}/{ENVIRONMENT}/versions/1")

    assert found[0] == "warning"
    assert found[1].startswith(
        f"--environment 'azureml://registries/azureml/environments/{ENVIRONMENT}/versions/1': the registry doesn't say "
        "whether it exists ("
    )
    assert found[1].endswith("; Azure ML looks it up when the job is sent")
