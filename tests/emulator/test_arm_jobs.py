"""Jobs that the real azure-ai-ml submits to the emulator."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from submit.emulator import Fault
from submit.emulator.workspace import BLOB_HOST, RESOURCE_MANAGER_HOST, SCOPE
from tests.support.submitters import SOURCES
from tests.support.submitters_v2 import V2Submitter

RECORD = Path(__file__).parents[1] / "support/records/typical_job_v2.json"
TYPICAL = """
folder = "azureml://datastores/workspaceblobstore/paths/data/cifar10/"
job = training(
    command="python train.py --data ${{inputs.data}} --lr ${{inputs.lr}} --to ${{outputs.model}}",
    instance_count=2, distribution=PyTorchDistribution(process_count_per_instance=4),
    inputs={"data": Input(type="uri_folder", path=folder, mode="ro_mount"), "lr": 0.1},
    outputs={"model": Output(type="uri_folder", mode="rw_mount")},
    environment_variables={"LEVEL": "1"}, shm_size="16g", timeout=3600, tags={"team": "vision"})
job.name = "typical"
sent = ml.jobs.create_or_update(job)
job = training(environment="acpt@latest", distribution=MpiDistribution(process_count_per_instance=2))
job.name = "again"
ml.jobs.create_or_update(job)
found = ml.jobs.get("typical")
ml.jobs.begin_cancel("again").result()
print(json.dumps({
    "status": sent.status, "compute": found.compute, "environment": found.environment,
    "outputs": sorted(found.outputs), "listed": [[job.name, job.status] for job in ml.jobs.list()],
    "environment of again": ml.jobs.get("again").environment, "code": [sent.code, ml.jobs.get("again").code],
}))
"""


def test_a_typical_job_arrives_as_it_was_sent(v2_submitter: V2Submitter) -> None:
    service = v2_submitter.service
    service.add_environment("acpt", "registry/own:1")
    service.inject(Fault.status(503, f"{SCOPE}/jobs/typical", times=1))

    result = v2_submitter.script_result(TYPICAL)

    typical, again = service.jobs
    record = json.loads(RECORD.read_text().replace("SCOPE", SCOPE))
    code = typical.definition["properties"].pop("codeId")
    assert typical.definition == record, json.dumps(typical.definition, indent=2).replace(SCOPE, "SCOPE")
    assert typical.files == again.files == SOURCES
    assert code == again.definition["properties"]["codeId"]
    assert result["code"] == [code] * 2
    assert (result["status"], result["compute"]) == ("Queued", "gpu-cluster")
    assert result["environment"] == record["properties"]["environmentId"]
    assert result["environment of again"] == "acpt:1"
    assert result["outputs"] == ["default", "model"]
    assert result["listed"] == [["again", "Canceled"], ["typical", "Queued"]]
    assert {urlsplit(request.path).netloc for request in service.requests} == {BLOB_HOST, RESOURCE_MANAGER_HOST}
    statuses = [r.status for r in service.requests if r.method == "PUT" and r.path.endswith("/jobs/typical")]
    assert statuses == [503, 201]
    uploads = [request for request in service.requests if request.method == "PUT" and BLOB_HOST in request.path]
    assert len(uploads) == len(SOURCES) + 1  # once, and the mark that all is there


ARCHIVED = """
from azure.ai.ml.constants import ListViewType

def names(entries):
    return [entry.name for entry in entries]

def views(operations, *name):
    return [names(operations.list(*name, list_view_type=view)) for view in (
        ListViewType.ACTIVE_ONLY, ListViewType.ARCHIVED_ONLY, ListViewType.ALL)]

for name in ("one", "two"):
    job = training()
    job.name = name
    ml.jobs.create_or_update(job)
    ml.data.create_or_update(Data(name=name, path="azureml://datastores/workspaceblobstore/paths/data/"))
    ml.environments.create_or_update(Environment(name=name, image="registry/image:1"))
    ml.models.create_or_update(Model(name=name, path="azureml://datastores/workspaceblobstore/paths/net.pt"))
ml.jobs.archive("one")
result = {"jobs": views(ml.jobs)}
ml.jobs.restore("one")
result["jobs again"] = views(ml.jobs)
for kind in ("data", "environments", "models"):
    operations = getattr(ml, kind)
    operations.archive("one")
    result[kind] = views(operations)
    operations.restore("one")
    operations.archive("two", version="1")
    result[kind + " again"] = [*views(operations), *views(operations, "two")]
print("\\n" + json.dumps(result))
"""


@pytest.mark.slow
def test_what_is_archived_is_not_listed(v2_submitter: V2Submitter) -> None:
    v2_submitter.service.add_datastore_file("net.pt", b"weights")

    result = v2_submitter.script_result(ARCHIVED)

    assert result["jobs"] == [["two"], ["one"], ["two", "one"]]
    assert result["jobs again"] == [["two", "one"], [], ["two", "one"]]
    for kind in ("data", "environments", "models"):
        assert result[kind] == [["two"], ["one"], ["one", "two"]], kind
        assert result[f"{kind} again"] == [["one", "two"], [], ["one", "two"], [], ["two"], ["two"]], kind


def test_a_job_of_v2_is_a_run_for_v1(v2_submitter: V2Submitter) -> None:
    body = json.loads(RECORD.read_text().replace("SCOPE", SCOPE))
    del body["properties"]["distribution"], body["properties"]["displayName"]

    status, _ = v2_submitter.manage("PUT", f"{SCOPE}/jobs/job-1", body)
    _, details = v2_submitter.request("GET", f"/history/v1.0{SCOPE}/experiments/exp/runs/job-1/details")

    definition = details["runDefinition"]
    assert status == 201
    assert (details["status"], details["tags"], details["target"]) == ("Queued", {"team": "vision"}, "gpu-cluster")
    assert (definition["command"], definition["nodeCount"]) == (body["properties"]["command"], 2)
    assert definition["environment"] == {"name": "acpt-pytorch-2.8-cuda12.6", "version": "1"}
    assert definition["communicator"] == "None"
