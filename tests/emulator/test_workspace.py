"""The workspace at the emulator: computes, environments, data, and what a user may do."""

import hashlib
import json
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator, Fault
from submit.emulator.workspace import RESOURCE_MANAGER_HOST, SCOPE
from tests.support.submitters import SOURCES, Submitter

pytestmark = pytest.mark.slow

COMPUTES = """
wanted = AmlCompute.provisioning_configuration("Standard_NC4as_T4_v3", "lowpriority", max_nodes=3)
compute = ComputeTarget.create(ws, "new", wanted)
states = [compute.provisioning_state]
compute.wait_for_completion()
states.append(compute.provisioning_state)
compute.update(max_nodes=5)
again = ComputeTarget(ws, "new")
sizes = AmlCompute.supported_vmsizes(ws)
result = [states, again.vm_size, again.vm_priority, again.scale_settings.maximum_node_count, sizes[0]["vCPUs"]]
compute.delete()
print(json.dumps([*result, list(ws.compute_targets)]))
"""


def test_a_compute_is_created_changed_and_deleted(submitter: Submitter) -> None:
    states, *result = submitter.script_result(COMPUTES)

    assert states == ["Creating", "Succeeded"]
    assert result == ["Standard_NC4as_T4_v3", "lowpriority", 5, 4, ["gpu-cluster"]]
    assert [compute.name for compute in submitter.service.computes] == ["gpu-cluster"]


def test_a_compute_without_quota_is_refused(submitter: Submitter) -> None:
    submitter.service.inject(Fault.quota())
    script = """
wanted = AmlCompute.provisioning_configuration("Standard_NC96ads_A100_v4", max_nodes=2)
try:
    ComputeTarget.create(ws, "new", wanted)
except Exception as error:
    print(error)
"""

    out = submitter.run_script(script)

    assert "Response Code: 400" in out
    assert "vCPU quota of 0 and cannot accommodate for at least 1 requested managed compute node" in out
    assert "maps to 96 vCPUs" in out
    assert [compute.name for compute in submitter.service.computes] == ["gpu-cluster"]


def test_environments_are_registered_and_found_by_name(submitter: Submitter) -> None:
    submitter.service.add_environment("AzureML-pytorch", "registry/pytorch:1")
    script = """
own = Environment.from_docker_image("own", "registry/own:1")
versions = [own.register(ws).version for _ in range(2)]
found = Environment.get(ws, "AzureML-pytorch")
try:
    Environment.get(ws, "AzureML-none")
except Exception as error:
    none = "there is no environment" in str(error)
config = ScriptRunConfig("src", script="train.py", compute_target="gpu-cluster", environment=found)
experiment.submit(config)
second = Environment.get(ws, "own", version="2").docker.base_image
print(json.dumps([versions, found.docker.base_image, second, sorted(Environment.list(ws)), none]))
"""

    result = submitter.script_result(script)

    sent = submitter.service.jobs[0].definition["Configuration"]["environment"]
    assert result == [["1", "2"], "registry/pytorch:1", "registry/own:1", ["AzureML-pytorch", "own"], True]
    assert (sent["name"], sent["version"], sent["docker"]["baseImage"]) == (
        "AzureML-pytorch",
        "1",
        "registry/pytorch:1",
    )


def test_files_go_to_the_datastore_once_and_come_back(submitter: Submitter) -> None:
    submitter.service.add_datastore_file("data/train.py", b"older")
    script = """
store = ws.get_default_datastore()
store.upload("src", "data", show_progress=False)
store.upload("src", "fresh", show_progress=False)
store.upload("src", "fresh", overwrite=True, show_progress=False)
store.download("down", "data", show_progress=False)
print(json.dumps([store.name, list(ws.datastores)]))
"""

    result = submitter.script_result(script)

    expected = {f"{folder}/{path}": content for folder in ("data", "fresh") for path, content in SOURCES.items()}
    assert result == ["workspaceblobstore", ["workspaceblobstore"]]
    assert submitter.service.datastore == expected | {"data/train.py": b"older"}
    assert (submitter.folder / "down/data/train.py").read_bytes() == b"older"
    assert (submitter.folder / "down/data/a/b/deep.txt").read_bytes() == b"deep\r\n"


BLOCKS = """
from azureml._vendor.azure_storage.blob import BlobBlock, ContentSettings
store = ws.get_default_datastore()
container = store.blob_service.get_container_client(store.container_name)
blob = container.get_blob_client("large")
blob.stage_block("000", b"be")
blob.stage_block("001", b"gin")
staged = [(block.id, block.size) for block in blob.get_block_list("uncommitted")[1]]
settings = ContentSettings(content_md5=bytearray(b"0123456789abcdef"))
for _ in range(2):
    blob.commit_block_list([BlobBlock("000"), BlobBlock("001")], content_settings=settings)
left = blob.get_block_list("uncommitted")[1]
container.get_blob_client("small").upload_blob(b"small")

def digest(found):
    md5 = found.content_settings.content_md5
    return bytes(md5).hex() if md5 else None

listed = {found.name: digest(found) for found in container.list_blobs(results_per_page=2)}
head = blob.get_blob_properties()
print(json.dumps([staged, left, head.size, digest(head), listed]))
"""


def test_a_blob_is_made_of_blocks_and_blobs_are_listed_in_pages(submitter: Submitter) -> None:
    submitter.service.add_datastore_file("a & b", b"")

    *result, listed = submitter.script_result(BLOCKS)

    hexadecimal = b"0123456789abcdef".hex()
    assert result == [[["000", 2], ["001", 3]], [], 5, hexadecimal]
    assert listed == {
        "a & b": hashlib.md5(b"", usedforsecurity=False).hexdigest(),
        "large": hexadecimal,
        "small": hashlib.md5(b"small", usedforsecurity=False).hexdigest(),
    }
    assert submitter.service.datastore == {"a & b": b"", "large": b"begin", "small": b"small"}


def test_datasets_are_saved_registered_and_found(submitter: Submitter) -> None:
    """By hand, as the client needs azureml-dataset-runtime for it."""
    flow = json.dumps({"blocks": [], "meta": {"RsDataflow": "type: mltable\n"}})
    prefix = f"/dataset/v1.0{SCOPE}"
    new = {"name": "cifar10", "datasetType": "file", "latest": {"dataflow": flow}}

    _, saved = submitter.request("POST", f"{prefix}/saveddatasets", {"datasetType": "file", "dataflowJson": flow})
    _, first = submitter.request("POST", f"{prefix}/datasets?ifExistsOk=false", new)
    refused, _ = submitter.request("POST", f"{prefix}/datasets?ifExistsOk=false", new)
    _, second = submitter.request("POST", f"{prefix}/datasets?ifExistsOk=true", new)

    version = submitter.request("GET", f"/data/v1.0{SCOPE}/dataversion/unregistered-{saved['id']}/versions/1")
    assert version == (200, {"legacyDataflow": "type: mltable\n"})
    assert first["latest"]["savedDatasetId"] == saved["id"]
    assert (refused, second["latest"]["versionId"]) == (409, "2")
    assert submitter.request("GET", f"{prefix}/datasets/query/name=cifar10")[1] == second
    assert submitter.request("GET", f"{prefix}/datasets/query/name=cifar10?versionId=1")[1] == first
    assert submitter.request("GET", f"{prefix}/datasets/query/name=cifar10?versionId=3")[0] == 404
    assert submitter.request("GET", f"{prefix}/datasets")[1]["value"] == [second]
    assert submitter.request("GET", f"{prefix}/saveddatasets/{saved['id']}")[1] == saved


def test_a_job_has_no_route_to_what_only_users_may_do(tmp_path: Path) -> None:
    paths = [f"/rp/workspaces{SCOPE}/computes", f"/credential/v2.0{SCOPE}/secrets"]
    with AzureMLEmulator() as service:
        submitter = Submitter(service, tmp_path).with_sources()
        job = service.job_environment(service.new_run("exp").id, tmp_path / "node")["AZUREML_RUN_TOKEN"]

        statuses = [[submitter.request("GET", path, token=token)[0] for token in (None, job, "")] for path in paths]

        assert statuses == [[200, 404, 401]] * 2
        assert service.unknown == [f"GET {path}" for path in paths]


def test_unknown_requests_are_refused_and_nothing_leaves_the_machine(tmp_path: Path) -> None:
    script = """
import requests

answers = []
for url in (f"https://{HOST}/subscriptions/x", "https://example.com/", "https://dc.services.visualstudio.com/"):
    try:
        answers.append(requests.get(url, timeout=10).status_code)
    except requests.exceptions.ProxyError as error:
        answers.append("502" in str(error))
try:
    ws.get_default_keyvault().get_secret("x")
except Exception as error:
    answers.append("the emulator doesn't know" in str(error))
print(json.dumps(answers))
"""
    with AzureMLEmulator() as service:
        submitter = Submitter(service, tmp_path).with_sources()

        answers = submitter.script_result(f"HOST = {RESOURCE_MANAGER_HOST!r}\n{script}")

        assert answers[:3] == [404, True, True]
        assert service.unknown[:2] == [
            f"GET https://{RESOURCE_MANAGER_HOST}/subscriptions/x",
            "CONNECT example.com:443",
        ]
        assert not any("visualstudio" in target for target in service.unknown)


def test_a_users_environment_is_not_that_of_a_job(submitter: Submitter) -> None:
    environment = submitter.service.workspace_environment(submitter.folder / "home")

    assert not any(name.startswith("AZUREML_RUN") for name in environment)
    assert {name for name in environment if name.startswith("AZUREML")} == {"AZUREML_CURRENT_CLOUD"}
    assert not any(submitter.service.user_token() in value for value in environment.values())
