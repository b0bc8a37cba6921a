"""Jobs that the real azureml-core submits to the emulator."""

import hashlib

import pytest

from submit.emulator import Fault
from submit.emulator.workspace import SCOPE, SUBSCRIPTION
from tests.support.projects import write_files
from tests.support.submitters import SOURCES, Submitter

pytestmark = pytest.mark.slow

SUBMIT = """
compute = ComputeTarget(ws, "gpu-cluster")
run = submit(compute, distributed_job_config=PyTorchConfiguration(process_count=8, node_count=2))
print(json.dumps({
    "workspace": [ws.name, ws.location, ws.subscription_id], "computes": list(ws.compute_targets),
    "compute": [type(compute).__name__, compute.vm_size, compute.scale_settings.maximum_node_count],
    "id": run.id, "status": run.get_status(), "portal": run.get_portal_url(), "tags": run.get_tags(),
    "details": {name: value for name, value in run.get_details().items() if name in ("target", "submittedBy")},
    "again": type(ws.get_run(run.id)).__name__, "experiments": [found.name for found in Experiment.list(ws)],
}))
"""


def test_a_job_arrives_as_it_was_sent(submitter: Submitter) -> None:
    many = {f"many/{number}": hashlib.sha256(str(number).encode()).digest() for number in range(101)}
    write_files(submitter.folder / "src", many)  # the client uploads 50 at a time

    result = submitter.script_result(SUBMIT)

    (job,) = submitter.service.jobs
    configuration = job.definition["Configuration"]
    run = submitter.service.run(job.run_id)
    assert result["workspace"] == ["emulator", "westeurope", SUBSCRIPTION]
    assert result["compute"] == ["AmlCompute", "Standard_NC24ads_A100_v4", 4]
    assert result["computes"] == ["gpu-cluster"]
    assert (result["id"], result["status"], result["again"]) == (job.run_id, "Queued", "ScriptRun")
    assert result["portal"].startswith(submitter.service.url)
    assert result["details"] == {"target": "gpu-cluster", "submittedBy": "emulator"}
    assert result["experiments"] == [job.experiment] == ["exp"]
    assert job.files == SOURCES | many
    assert sorted(job.definition) == ["Configuration", "SnapshotId", "TargetDetails", "TelemetryValues"]
    assert (configuration["script"], configuration["arguments"]) == ("train.py", ["--epochs", 2])
    assert (configuration["target"], configuration["nodeCount"]) == ("gpu-cluster", 2)
    assert configuration["pytorch"] == {"communicationBackend": "nccl", "processCount": 8, "nodeCount": 2}
    assert (run.status, run.started, run.ended) == ("Queued", None, None)
    assert run.tags == result["tags"] == {"team": "vision"}
    assert run.properties["ContentSnapshotId"] == job.definition["SnapshotId"]


def test_only_what_has_changed_is_uploaded_again(submitter: Submitter) -> None:
    script = """
submit()
submit()
pathlib.Path("src/train.py").write_text("changed")
pathlib.Path("src/empty").unlink()
pathlib.Path("src/new").write_text("new")
submit()
"""
    changed = {path: content for path, content in SOURCES.items() if path != "empty"}
    changed |= {"train.py": b"changed", "new": b"new"}

    submitter.run_script(script)
    submitter.run_script("submit()", home="another home")

    first, second, third, elsewhere = submitter.service.jobs
    uploads = [r for r in submitter.service.requests if r.method == "PUT" and "/snapshots/" in r.path]
    assert first.files == second.files == SOURCES
    assert third.files == elsewhere.files == changed
    assert first.definition["SnapshotId"] == second.definition["SnapshotId"] != third.definition["SnapshotId"]
    assert len(uploads) == len(SOURCES) + 2


def test_a_snapshot_without_all_of_its_files_is_refused(submitter: Submitter) -> None:
    submitter.service.inject(Fault.status(403, path="/azureml/snapshots/", times=1))
    script = """
try:
    submit()
except Exception as error:
    print(error)
"""
    node = {"FullName": "a", "BlobUri": "https://emulator.blob.core.windows.net/azureml/snapshots/x/0?sig"}
    tree = {"children": {"a": {"type": "File", "children": {}}}}
    lost = {"ParentSnapshotId": "", "DirTreeNode": tree, "FileRevisionList": {"FileNodes": [node]}}
    forgotten = lost | {"FileRevisionList": {"FileNodes": []}}

    out = submitter.run_script(script)
    answers = [submitter.request("POST", f"/content/v2.0{SCOPE}/snapshots/new", sent) for sent in (lost, forgotten)]

    assert "fault injection: status 403" in out
    assert [status for status, _ in answers] == [400, 400]
    assert "the content of 'a' was not uploaded" in answers[0][1]["error"]["message"]
    assert "files that were not uploaded: ['a']" in answers[1][1]["error"]["message"]
    assert submitter.service.jobs == []


def test_a_job_for_a_compute_that_does_not_exist_is_refused(submitter: Submitter) -> None:
    script = """
try:
    ComputeTarget(ws, "gpu")
except Exception as error:
    print(error)
try:
    submit("gpu")
except Exception as error:
    print(error)
"""

    out = submitter.run_script(script)

    assert "Compute Target with name gpu not found" in out
    assert "Unknown compute target 'gpu'." in out
    assert submitter.service.jobs == []


def test_a_service_that_fails_in_mid_submit_gets_the_job_once(submitter: Submitter) -> None:
    submitter.service.inject(Fault.status(500, path="/execution/", times=1))

    submitter.run_script("submit()")

    assert [r.status for r in submitter.service.requests if r.path.endswith("/snapshotrun")] == [500, 200]
    assert len(submitter.service.jobs) == 1
