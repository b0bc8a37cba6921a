"""What a snapshot, an artifact, a blob, a run or an input is called never leads out of its folder."""

import http.client
import ssl
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from submit.emulator import AzureMLEmulator
from submit.emulator.workspace import BLOB_HOST, DATASTORE_CONTAINER, SCOPE
from submit.errors import SubmitError
from submit.execution.nodes import Nodes
from submit.execution.v1_definition import V1Definition
from tests.support.emulator_jobs import Job, ask
from tests.support.hostile_names import LEAD_OUT


def asks(service: AzureMLEmulator, path: str, content: Any) -> tuple[int, Any]:
    return ask(service, "POST", path, content, service.user_token())


@pytest.mark.parametrize("name", LEAD_OUT)
def test_an_artifact_of_this_name_is_refused(job: Job, name: str) -> None:
    status, answer = job.ask("POST", job.artifact, {"paths": [{"path": name}]})

    assert (status, answer["artifacts"]) == (200, {})
    assert "leads out of its folder" in answer["errors"][name]["error"]["message"]
    assert job.service.run(job.run_id).paths == []


@pytest.mark.parametrize("name", LEAD_OUT)
def test_a_blob_of_this_name_is_refused(service: AzureMLEmulator, tmp_path: Path, name: str) -> None:
    for encoded in (quote(name), quote(name, safe="")):
        assert raw_put(service, tmp_path, f"/{DATASTORE_CONTAINER}/{encoded}") == 400

    assert service.datastore_files(DATASTORE_CONTAINER, "") == {}


def raw_put(service: AzureMLEmulator, folder: Path, path: str) -> int:
    """The status of an upload to the blob account, whose path is sent as it is."""
    authority = service.workspace_environment(folder / "home")["REQUESTS_CA_BUNDLE"]
    context = ssl.create_default_context(cafile=authority)
    connection = http.client.HTTPSConnection("127.0.0.1", service.port, timeout=10, context=context)
    connection.set_tunnel(BLOB_HOST, 443)
    try:
        connection.request("PUT", path, b"1")
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("name", LEAD_OUT)
def test_a_snapshot_with_a_file_of_this_name_is_refused(service: AzureMLEmulator, tmp_path: Path, name: str) -> None:
    snapshot, content = str(uuid.uuid4()), f"/content/v2.0{SCOPE}/snapshots"
    status, announced = asks(service, f"{content}/getblob", {"FileNames": [name]})
    assert status == 200
    (node,) = announced["fileNodes"]
    assert raw_put(service, tmp_path, node["blobUri"].partition(BLOB_HOST)[2]) == 201

    body = {
        "ParentSnapshotId": None,
        "FileRevisionList": {"FileNodes": [{"FullName": name, "BlobUri": node["blobUri"]}]},
        "DirTreeNode": {"children": {name: {"type": "File"}}},
    }
    status, answer = asks(service, f"{content}/{snapshot}", body)

    assert status == 400
    assert "leads out of its folder" in answer["error"]["message"]


@pytest.mark.parametrize("name", ["..", "../out", "/out", "", ".", "a/b", "n" * 300])
def test_a_run_of_this_name_is_refused(service: AzureMLEmulator, name: str) -> None:
    """Its job's folder has the name of the run."""
    service.add_compute("cpu-cluster", "Standard_DS3_v2", 1)
    definition = {"Configuration": {"target": "cpu-cluster", "script": "train.py"}, "SnapshotId": None}
    path = f"/execution/v1.0{SCOPE}/experiments/exp/snapshotrun?runId={quote(name, safe='')}"

    status, answer = asks(service, path, definition)

    assert status == 400
    assert answer["error"]["message"].startswith(f"the run id {name!r:.100}")
    assert service.jobs == []


@pytest.mark.parametrize("name", [name for name in LEAD_OUT if "/" not in name] + ["../out", "/out"])
def test_an_input_of_this_name_is_refused(service: AzureMLEmulator, tmp_path: Path, name: str) -> None:
    service.add_dataset("pictures", "pictures")
    service.add_datastore_file("pictures/a", b"a")
    inputs = tmp_path / "inputs"
    data = {name: {"dataLocation": {"dataset": {"name": "pictures"}}, "mechanism": "Mount"}}
    reference = {name: {"dataStoreName": "workspaceblobstore", "pathOnDataStore": "pictures", "mode": "Mount"}}

    for definition in ({"data": data}, {"dataReferences": reference}):
        with pytest.raises(SubmitError, match="expected a path within the folder"):
            V1Definition(definition).prepare_inputs(service, inputs)

    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_out_of_the_outputs_is_not_collected(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    nodes = Nodes(tmp_path / "job", V1Definition({"nodeCount": 1}), {"train.py": b""})
    nodes.write_snapshot(0)
    outputs = nodes.folder(0) / "outputs"
    outputs.mkdir()
    (outputs / "best.ckpt").write_text("weights")
    (outputs / "last.ckpt").symlink_to("best.ckpt")
    (outputs / "link").symlink_to(secret)
    (outputs / "folder").symlink_to(tmp_path)
    (outputs / "up").symlink_to("../../../..")

    assert [name for name, _ in nodes.outputs()] == ["outputs/best.ckpt", "outputs/last.ckpt"]
