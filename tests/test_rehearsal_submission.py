"""The rehearsal service as those know it who submit: the real azureml-core in processes of its own."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from submit.rehearsal import AzureMLService, Fault
from submit.rehearsal.workspace import RESOURCE_MANAGER_HOST, SCOPE, SUBSCRIPTION
from tests.test_rehearsal_service import ask

pytestmark = pytest.mark.slow

PRELUDE = """
import json, os, pathlib, sys
from azureml.core import Environment, Experiment, Model, Run, ScriptRunConfig, Workspace
from azureml.core.authentication import TokenAuthentication
from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.core.runconfig import PyTorchConfiguration

ws = Workspace.from_config(auth=TokenAuthentication(lambda audience: os.environ["TOKEN"], cloud="AzureCloud"))
experiment = Experiment(ws, "exp")

def submit(compute="gpu-cluster", **further):
    environment = Environment.from_docker_image("image", "registry/image:1")
    config = ScriptRunConfig(
        "src", script="train.py", arguments=["--epochs", 2], compute_target=compute, environment=environment, **further)
    return experiment.submit(config, tags={"team": "vision"})
"""
FILES = {
    "train.py": b"print('hello')\n",
    "data modules/\u00fcber.bin": bytes(range(256)),
    "a/b/deep.txt": b"deep\r\n",
    "empty": b"",
}


class User:
    """Someone who submits, with a folder that has a configuration and sources."""

    def __init__(self, service: AzureMLService, folder: Path) -> None:
        self.service = service
        self.folder = folder
        write_files(folder / "src", FILES)
        service.write_workspace_config(folder)
        service.add_compute("gpu-cluster", "Standard_NC24ads_A100_v4", 4)

    @contextmanager
    def start(self, script: str, home: str = "home") -> "Iterator[subprocess.Popen[str]]":
        """The script in a process of its own, after the prelude."""
        environment = self.service.workspace_environment(self.folder / home) | {"TOKEN": self.service.user_token()}
        variables = {"PATH": os.environ["PATH"], "TZ": "UTC"} | environment
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script],
            cwd=self.folder,
            env=variables,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def does(self, script: str, home: str = "home") -> str:
        """What the script prints; it must succeed."""
        with self.start(script, home) as process:
            out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        return out

    def result(self, script: str) -> Any:
        """The last line that the script prints, which is JSON."""
        return json.loads(self.does(script).splitlines()[-1])

    def ask(self, method: str, path: str, content: Any = None, token: str | None = None) -> tuple[int, Any]:
        return ask(self.service, method, path, content, self.service.user_token() if token is None else token)

    def submit(self, run_id: str) -> str:
        """A job without files, submitted by hand."""
        definition = {"Configuration": {"target": "gpu-cluster", "script": "train.py"}, "SnapshotId": None}
        path = f"/execution/v1.0{SCOPE}/experiments/exp/snapshotrun?runId={run_id}"
        assert self.ask("POST", path, definition) == (200, {"runId": run_id})
        return run_id


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


@pytest.fixture
def user(service: AzureMLService, tmp_path: Path) -> User:
    return User(service, tmp_path)


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


def test_a_job_arrives_as_it_was_sent(user: User) -> None:
    many = {f"many/{number}": hashlib.sha256(str(number).encode()).digest() for number in range(101)}
    write_files(user.folder / "src", many)  # the client uploads 50 at a time

    result = user.result(SUBMIT)

    (job,) = user.service.jobs
    configuration = job.definition["Configuration"]
    run = user.service.run(job.run_id)
    assert result["workspace"] == ["rehearsal", "westeurope", SUBSCRIPTION]
    assert result["compute"] == ["AmlCompute", "Standard_NC24ads_A100_v4", 4]
    assert result["computes"] == ["gpu-cluster"]
    assert (result["id"], result["status"], result["again"]) == (job.run_id, "Queued", "ScriptRun")
    assert result["portal"].startswith(user.service.url)
    assert result["details"] == {"target": "gpu-cluster", "submittedBy": "rehearsal"}
    assert result["experiments"] == [job.experiment] == ["exp"]
    assert job.files == FILES | many
    assert sorted(job.definition) == ["Configuration", "SnapshotId", "TargetDetails", "TelemetryValues"]
    assert (configuration["script"], configuration["arguments"]) == ("train.py", ["--epochs", 2])
    assert (configuration["target"], configuration["nodeCount"]) == ("gpu-cluster", 2)
    assert configuration["pytorch"] == {"communicationBackend": "nccl", "processCount": 8, "nodeCount": 2}
    assert (run.status, run.started, run.ended) == ("Queued", None, None)
    assert run.tags == result["tags"] == {"team": "vision"}
    assert run.properties["ContentSnapshotId"] == job.definition["SnapshotId"]


def test_only_what_has_changed_is_uploaded_again(user: User) -> None:
    script = """
submit()
submit()
pathlib.Path("src/train.py").write_text("changed")
pathlib.Path("src/empty").unlink()
pathlib.Path("src/new").write_text("new")
submit()
"""
    changed = {path: content for path, content in FILES.items() if path != "empty"}
    changed |= {"train.py": b"changed", "new": b"new"}

    user.does(script)
    user.does("submit()", home="another home")

    first, second, third, elsewhere = user.service.jobs
    uploads = [r for r in user.service.requests if r.method == "PUT" and "/snapshots/" in r.path]
    assert first.files == second.files == FILES
    assert third.files == elsewhere.files == changed
    assert first.definition["SnapshotId"] == second.definition["SnapshotId"] != third.definition["SnapshotId"]
    assert len(uploads) == len(FILES) + 2


def test_a_snapshot_without_all_of_its_files_is_refused(user: User) -> None:
    user.service.order(Fault.status(403, path="/azureml/snapshots/", times=1))
    script = """
try:
    submit()
except Exception as error:
    print(error)
"""
    node = {"FullName": "a", "BlobUri": "https://rehearsal.blob.core.windows.net/azureml/snapshots/x/0?sig"}
    tree = {"children": {"a": {"type": "File", "children": {}}}}
    lost = {"ParentSnapshotId": "", "DirTreeNode": tree, "FileRevisionList": {"FileNodes": [node]}}
    forgotten = lost | {"FileRevisionList": {"FileNodes": []}}

    out = user.does(script)
    answers = [user.ask("POST", f"/content/v2.0{SCOPE}/snapshots/new", sent) for sent in (lost, forgotten)]

    assert "status 403 was ordered" in out
    assert [status for status, _ in answers] == [400, 400]
    assert "the content of 'a' didn't arrive" in answers[0][1]["error"]["message"]
    assert "files that nobody uploaded: ['a']" in answers[1][1]["error"]["message"]
    assert user.service.jobs == []


def test_a_job_for_a_compute_that_does_not_exist_is_refused(user: User) -> None:
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

    out = user.does(script)

    assert "Compute Target with name gpu not found" in out
    assert "Unknown compute target 'gpu'." in out
    assert user.service.jobs == []


def test_a_service_that_fails_in_mid_submit_gets_the_job_once(user: User) -> None:
    user.service.order(Fault.status(500, path="/execution/", times=1))

    user.does("submit()")

    assert [r.status for r in user.service.requests if r.path.endswith("/snapshotrun")] == [500, 200]
    assert len(user.service.jobs) == 1


FOLLOW = """
run = Run(experiment, "job_1")
print("ready", flush=True)
for line in sys.stdin:
    print(run.get_status(), "startTimeUtc" in run.get_details(), "endTimeUtc" in run.get_details(), flush=True)
try:
    run.wait_for_completion()
except Exception as error:
    print(type(error).__name__, "Killed by the kernel" in str(error))
"""


def test_a_run_goes_on_as_the_service_is_told(user: User) -> None:
    run_id = user.submit("job_1")
    seen = []

    with user.start(FOLLOW) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for status in ("Preparing", "Queued", "Running", "Finalizing", "Failed"):
            user.service.set_run_status(run_id, status, "Killed by the kernel" if status == "Failed" else None)
            process.stdin.write("\n")
            process.stdin.flush()
            seen.append(process.stdout.readline().split())
        out, error = process.communicate(timeout=60)

    assert process.returncode == 0, error
    assert seen == [
        ["Preparing", "False", "False"],
        ["Queued", "False", "False"],
        ["Running", "True", "False"],
        ["Finalizing", "True", "False"],
        ["Failed", "True", "True"],
    ]
    assert out == "ActivityFailedException True\n"


def test_a_run_has_no_other_status_than_azure_knows(user: User) -> None:
    run_id = user.submit("job_1")

    with pytest.raises(ValueError, match="status is 'Done'; expected one of NotStarted, Starting, "):
        user.service.set_run_status(run_id, "Done")

    assert user.service.run(run_id).status == "Queued"


def test_a_cancelled_run_has_ended_and_a_completed_one_stays_so(user: User) -> None:
    user.does("submit()\nsubmit()")
    first, second = (job.run_id for job in user.service.jobs)
    user.service.set_run_status(second, "Completed")
    script = """
def cancel(name):
    run = ws.get_run(name)
    run.cancel()
    return run.get_status()
"""

    result = user.result(f"{script}print(json.dumps([cancel({first!r}), cancel({second!r})]))")

    assert result == ["Canceled", "Completed"]
    assert user.service.run(first).ended is not None


def test_the_runs_of_an_experiment_are_listed_and_filtered(user: User) -> None:
    for number in range(103):
        user.submit(f"job_{number}")
    user.service.set_run_status("job_7", "Running")
    user.ask("PATCH", f"/history/v1.0{SCOPE}/experiments/exp/runs/job_9", {"tags": {"k": "v"}, "properties": {"p": ""}})
    user.service.new_run("other")
    script = """
def found(**wanted):
    return [run.id for run in Run.list(experiment, **wanted)]

print(json.dumps([
    [run.id for run in experiment.get_runs()], found(status="Running"), found(status="Failed"), found(tags="k"),
    found(tags={"k": "v"}, status="Queued"), found(tags={"k": "w"}), found(properties="p"),
    len(found(type="azureml.scriptrun")),
]))
"""

    everything, *filtered = user.result(script)

    assert everything[:2] == ["job_7", "job_102"]  # the last one to start, and of those that wait the last submitted
    assert sorted(everything) == sorted(f"job_{number}" for number in range(103))
    assert filtered == [["job_7"], [], ["job_9"], ["job_9"], [], ["job_9"], 103]


def test_files_and_logs_of_a_run_are_listed_downloaded_and_followed(user: User) -> None:
    run_id = user.submit("job_1")
    user.service.set_run_status(run_id, "Running")
    user.service.add_artifact(run_id, "outputs/model.pt", b"\x00weights")
    user.service.add_artifact(run_id, "outputs/sub/notes.txt", b"notes")
    user.service.add_artifact(run_id, "user_logs/std_log.txt", b"first line\n")
    script = """
run = ws.get_run("job_1")
files = run.get_file_names()
run.download_files("outputs", "down")
run.download_file("outputs/model.pt", "model.pt")
run.get_all_logs("logs")
print(json.dumps(files), flush=True)
run.wait_for_completion(show_output=True)
"""

    with user.start(script) as process:
        assert process.stdout is not None
        files = json.loads(process.stdout.readline())
        followed = [next(line for line in process.stdout if line == "first line\n")]
        user.service.add_artifact(run_id, "user_logs/std_log.txt", b"first line\nlast line\n")
        followed.append(next(line for line in process.stdout if line.endswith("line\n")))
        user.service.set_run_status(run_id, "Completed")
        _, error = process.communicate(timeout=60)

    assert process.returncode == 0, error
    assert files == ["outputs/model.pt", "outputs/sub/notes.txt", "user_logs/std_log.txt"]
    assert followed == ["first line\n", "last line\n"]
    assert (user.folder / "model.pt").read_bytes() == b"\x00weights"
    assert (user.folder / "down/outputs/sub/notes.txt").read_bytes() == b"notes"
    assert (user.folder / "logs/user_logs/std_log.txt").read_text() == "first line\n"


MODELS = """
run = ws.get_run("job_1")
run.register_model("net", "outputs/model.pt", tags={"val_acc": "0.5"}, properties={"p": "1"}, description="first")
run.register_model("net", "outputs/model.pt", tags={"val_acc": "0.7"})
Model.register(ws, "src/train.py", "script", tags={"kind": "script"})
try:
    Model(ws, "none")
except Exception as error:
    none = str(error)
def found(**wanted):
    return [model.id for model in Model.list(ws, **wanted)]
print(json.dumps({
    "models": [(model.id, model.tags, model.run_id) for model in Model.list(ws)],
    "latest": found(name="net", latest=True), "tagged": found(tags=[["val_acc", "0.5"]]),
    "having": found(tags=["kind"]), "of run": found(run_id="job_1"), "last": Model(ws, "net").version,
    "first": Model(ws, "net", version=1).description,
    "downloaded": Model(ws, id="net:1").download("net"), "script": Model(ws, "script").download("other"), "none": none,
}))
"""


def test_models_are_registered_listed_and_downloaded(user: User) -> None:
    run_id = user.submit("job_1")
    user.service.add_artifact(run_id, "outputs/model.pt", b"\x00weights")

    result = user.result(MODELS)

    assert result["models"] == [
        ["script:1", {"kind": "script"}, None],
        ["net:2", {"val_acc": "0.7"}, run_id],
        ["net:1", {"val_acc": "0.5"}, run_id],
    ]
    assert (result["latest"], result["tagged"], result["having"]) == (["net:2"], ["net:1"], ["script:1"])
    assert result["of run"] == ["net:2", "net:1"]
    assert (result["last"], result["first"]) == (2, "first")
    assert (user.folder / result["downloaded"]).read_bytes() == b"\x00weights"
    assert (user.folder / result["script"]).read_bytes() == FILES["train.py"]
    assert "ModelNotFound" in result["none"]
    assert [model.name for model in user.service.models] == ["net", "net", "script"]


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


def test_a_compute_is_created_in_a_moment_changed_and_deleted(user: User) -> None:
    states, *result = user.result(COMPUTES)

    assert states == ["Creating", "Succeeded"]
    assert result == ["Standard_NC4as_T4_v3", "lowpriority", 5, 4, ["gpu-cluster"]]
    assert [compute.name for compute in user.service.computes] == ["gpu-cluster"]


def test_a_compute_without_quota_is_refused(user: User) -> None:
    user.service.order(Fault.quota())
    script = """
wanted = AmlCompute.provisioning_configuration("Standard_NC96ads_A100_v4", max_nodes=2)
try:
    ComputeTarget.create(ws, "new", wanted)
except Exception as error:
    print(error)
"""

    out = user.does(script)

    assert "Response Code: 400" in out
    assert "vCPU quota of 0 and cannot accommodate for at least 1 requested managed compute node" in out
    assert "maps to 96 vCPUs" in out
    assert [compute.name for compute in user.service.computes] == ["gpu-cluster"]


def test_environments_are_had_by_name_and_registered(user: User) -> None:
    user.service.add_environment("AzureML-pytorch", "registry/pytorch:1")
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

    result = user.result(script)

    sent = user.service.jobs[0].definition["Configuration"]["environment"]
    assert result == [["1", "2"], "registry/pytorch:1", "registry/own:1", ["AzureML-pytorch", "own"], True]
    assert (sent["name"], sent["version"], sent["docker"]["baseImage"]) == (
        "AzureML-pytorch",
        "1",
        "registry/pytorch:1",
    )


def test_files_go_to_the_datastore_once_and_come_back(user: User) -> None:
    user.service.add_datastore_file("data/train.py", b"older")
    script = """
store = ws.get_default_datastore()
store.upload("src", "data", show_progress=False)
store.upload("src", "fresh", show_progress=False)
store.upload("src", "fresh", overwrite=True, show_progress=False)
store.download("down", "data", show_progress=False)
print(json.dumps([store.name, list(ws.datastores)]))
"""

    result = user.result(script)

    expected = {f"{folder}/{path}": content for folder in ("data", "fresh") for path, content in FILES.items()}
    assert result == ["workspaceblobstore", ["workspaceblobstore"]]
    assert user.service.datastore == expected | {"data/train.py": b"older"}
    assert (user.folder / "down/data/train.py").read_bytes() == b"older"
    assert (user.folder / "down/data/a/b/deep.txt").read_bytes() == b"deep\r\n"


BLOCKS = """
from azureml._vendor.azure_storage.blob import BlobBlock, ContentSettings
store = ws.get_default_datastore()
container = store.blob_service.get_container_client(store.container_name)
blob = container.get_blob_client("large")
blob.stage_block("000", b"be")
blob.stage_block("001", b"gin")
staged = [(block.id, block.size) for block in blob.get_block_list("uncommitted")[1]]
told = ContentSettings(content_md5=bytearray(b"0123456789abcdef"))
for _ in range(2):
    blob.commit_block_list([BlobBlock("000"), BlobBlock("001")], content_settings=told)
left = blob.get_block_list("uncommitted")[1]
container.get_blob_client("small").upload_blob(b"small")

def digest(found):
    md5 = found.content_settings.content_md5
    return bytes(md5).hex() if md5 else None

listed = {found.name: digest(found) for found in container.list_blobs(results_per_page=2)}
head = blob.get_blob_properties()
print(json.dumps([staged, left, head.size, digest(head), listed]))
"""


def test_a_blob_is_made_of_blocks_and_blobs_are_listed_in_pages(user: User) -> None:
    user.service.add_datastore_file("a & b", b"")

    *result, listed = user.result(BLOCKS)

    told = b"0123456789abcdef".hex()
    assert result == [[["000", 2], ["001", 3]], [], 5, told]
    assert listed == {
        "a & b": hashlib.md5(b"", usedforsecurity=False).hexdigest(),
        "large": told,
        "small": hashlib.md5(b"small", usedforsecurity=False).hexdigest(),
    }
    assert user.service.datastore == {"a & b": b"", "large": b"begin", "small": b"small"}


def test_datasets_are_saved_registered_and_found(user: User) -> None:
    """By hand, as the client needs azureml-dataset-runtime for it."""
    flow = json.dumps({"blocks": [], "meta": {"RsDataflow": "type: mltable\n"}})
    prefix = f"/dataset/v1.0{SCOPE}"
    new = {"name": "cifar10", "datasetType": "file", "latest": {"dataflow": flow}}

    _, saved = user.ask("POST", f"{prefix}/saveddatasets", {"datasetType": "file", "dataflowJson": flow})
    _, first = user.ask("POST", f"{prefix}/datasets?ifExistsOk=false", new)
    refused, _ = user.ask("POST", f"{prefix}/datasets?ifExistsOk=false", new)
    _, second = user.ask("POST", f"{prefix}/datasets?ifExistsOk=true", new)

    version = user.ask("GET", f"/data/v1.0{SCOPE}/dataversion/unregistered-{saved['id']}/versions/1")
    assert version == (200, {"legacyDataflow": "type: mltable\n"})
    assert first["latest"]["savedDatasetId"] == saved["id"]
    assert (refused, second["latest"]["versionId"]) == (409, "2")
    assert user.ask("GET", f"{prefix}/datasets/query/name=cifar10")[1] == second
    assert user.ask("GET", f"{prefix}/datasets/query/name=cifar10?versionId=1")[1] == first
    assert user.ask("GET", f"{prefix}/datasets/query/name=cifar10?versionId=3")[0] == 404
    assert user.ask("GET", f"{prefix}/datasets")[1]["value"] == [second]
    assert user.ask("GET", f"{prefix}/saveddatasets/{saved['id']}")[1] == saved


def test_a_submitted_run_reports_and_whoever_submitted_it_sees_that(user: User) -> None:
    run_id = user.submit("job_1")
    user.service.set_run_status(run_id, "Running")
    environment = {"PATH": os.environ["PATH"]} | user.service.job_environment(run_id, user.folder / "node")
    job = (
        "from azureml.core import Run; run = Run.get_context(); run.log('loss', 0.5); run.tag('k', 'v'); run.complete()"
    )

    subprocess.run([sys.executable, "-c", job], env=environment, cwd=user.folder, check=True, timeout=60)
    result = user.result("run = ws.get_run('job_1')\nprint(json.dumps([run.get_metrics(), run.get_tags()]))")

    assert result == [{"loss": 0.5}, {"k": "v"}]


def test_what_a_user_may_ask_a_job_does_not_know(tmp_path: Path) -> None:
    paths = [f"/rp/workspaces{SCOPE}/computes", f"/datastore/v1.0{SCOPE}/default"]
    with AzureMLService() as service:
        user = User(service, tmp_path)
        job = service.job_environment(service.new_run("exp").id, tmp_path / "node")["AZUREML_RUN_TOKEN"]

        statuses = [[user.ask("GET", path, token=token)[0] for token in (None, job, "")] for path in paths]

        assert statuses == [[200, 404, 401]] * 2
        assert service.unknown == [f"GET {path}" for path in paths]


def test_what_nobody_knows_is_refused_and_nothing_leaves_the_machine(tmp_path: Path) -> None:
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
    answers.append("this rehearsal of Azure ML doesn't know" in str(error))
print(json.dumps(answers))
"""
    with AzureMLService() as service:
        user = User(service, tmp_path)

        answers = user.result(f"HOST = {RESOURCE_MANAGER_HOST!r}\n{script}")

        assert answers[:3] == [404, True, True]
        assert service.unknown[:2] == [
            f"GET https://{RESOURCE_MANAGER_HOST}/subscriptions/x",
            "CONNECT example.com:443",
        ]
        assert not any("visualstudio" in target for target in service.unknown)


def test_the_environment_of_a_user_makes_no_job_of_it(user: User) -> None:
    environment = user.service.workspace_environment(user.folder / "home")

    assert not any(name.startswith("AZUREML_RUN") for name in environment)
    assert {name for name in environment if name.startswith("AZUREML")} == {"AZUREML_CURRENT_CLOUD"}
    assert not any(user.service.user_token() in value for value in environment.values())
