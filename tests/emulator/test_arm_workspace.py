"""What the real azure-ai-ml does with a workspace of the emulator beside sending jobs."""

from pathlib import Path

from submit.execution.worker import Worker
from tests.support.submitters_v2 import V2Submitter

JOB = """
result = {}
job = training(
    command="python train.py && ls ${{inputs.data}} && mkdir outputs && echo weights > outputs/net.txt"
    " && echo kept > ${{outputs.kept}}/a.txt && echo named > ${{outputs.named}}/b.txt",
    inputs={"data": Input(type="uri_folder", path=ml.data.create_or_update(Data(name="sources", path="src")).id)},
    outputs={
        "kept": Output(type="uri_folder"),
        "named": Output(type="uri_folder", path="azureml://datastores/workspaceblobstore/paths/named/${{name}}/")})
job.name = "first"
ml.jobs.create_or_update(job)
ml.jobs.stream("first")
ml.jobs.download("first", download_path="down", all=True)
ml.jobs.download("first", download_path="one", output_name="named")
result["down"] = sorted(str(path) for path in pathlib.Path("down").rglob("*.txt"))
result["one"] = [str(path) for path in pathlib.Path("one").rglob("*") if path.is_file()]
ml.jobs.update("first", tags={"team": "vision"}, display_name="the first")
found = ml.jobs.get("first")
result["job"] = [found.status, found.display_name, found.tags]
"""
ASSETS = """
again = ml.data.create_or_update(Data(name="sources", path="src"))
latest = ml.data.get("sources", label="latest")
result["data"] = [again.version, latest.path == again.path, ml.data.get("old", "1").type]
of_job = Model(name="net", type="custom_model", path="azureml://jobs/first/outputs/artifacts/paths/outputs/net.txt")
models = [ml.models.create_or_update(model) for model in (of_job, Model(name="net", path="src/train.py"))]
result["models"] = [[model.version for model in models], [model.name for model in ml.models.list()]]
own = Environment(name="own", image="registry/own:1", conda_file={"dependencies": ["python=3.11"]})
versions = [ml.environments.create_or_update(own).version]
own = Environment(name="own", image="registry/own:2")
versions.append(ml.environments.create_or_update(own).version)
result["environments"] = [versions, ml.environments.get("own", "1").conda_file, ml.environments.get("own", "2").image]
cluster = AmlCompute(name="new", size="Standard_NC4as_T4_v3", max_instances=2, tier="low_priority")
made = ml.compute.begin_create_or_update(cluster).result()
result["compute"] = [made.size, made.tier, made.max_instances, made.provisioning_state]
result["sizes"] = [size.name for size in ml.compute.list_sizes()][:1]
result["datastores"] = [ml.datastores.get_default().name, [store.name for store in ml.datastores.list()]]
registry = MLClient(Credential(), registry_name="azureml")
result["registry"] = registry.environments.get("acpt-pytorch-2.8-cuda12.6", label="latest").version
print("\\n" + json.dumps(result))
"""
REFUSED = """
result = []
def tries(job):
    try:
        ml.jobs.create_or_update(job)
    except Exception as error:
        result.append(str(error).splitlines()[0])

tries(training(compute="gpu"))
tries(training(compute="local"))
tries(training(environment="none:1"))
tries(training(environment="azureml://registries/azureml/environments/none/labels/latest"))
tries(training(environment="azureml://registries/azureml/environments/acpt-pytorch-2.8-cuda12.6/versions/7"))
spot = training()
spot.queue_settings = {"job_tier": "spot"}
tries(spot)
tries(training(inputs={"data": Input(type="uri_folder", path="azureml:none:1")}))
tries(training(distribution={"type": "tensorflow", "worker_count": 2}))
print("\\n" + json.dumps(result))
"""


def test_a_job_is_followed_and_its_outputs_are_downloaded(v2_submitter: V2Submitter, tmp_path: Path) -> None:
    service = v2_submitter.service
    service.add_dataset("old", "old")
    service.set_creation_time(0)

    with Worker(service, tmp_path / "jobs", 1, lambda line: None):
        result = v2_submitter.script_result(JOB + ASSETS)

    log = "down/artifacts/user_logs/std_log.txt"
    assert sorted(result["down"]) == sorted(
        [
            "down/artifacts/outputs/net.txt",
            log,
            "down/named-outputs/kept/a.txt",
            "down/named-outputs/named/b.txt",
        ]
    )
    assert (tmp_path / log).read_text() == "hello\na\ndata modules\nempty\ntrain.py\n"
    assert result["one"] == ["one/named-outputs/named/b.txt"]
    assert result["job"] == ["Completed", "the first", {"team": "vision"}]
    assert service.datastore["named/first/b.txt"] == b"named\n"
    assert result["data"] == ["2", True, "mltable"]
    assert result["models"] == [["1", "2"], ["net"]]
    assert [model.run_id for model in service.models] == ["first", None]
    assert result["environments"] == [["1", "2"], {"dependencies": ["python=3.11"]}, "registry/own:2"]
    assert result["compute"] == ["Standard_NC4as_T4_v3", "low_priority", 2, "Succeeded"]
    assert [(compute.name, compute.priority) for compute in service.computes][1:] == [("new", "LowPriority")]
    assert result["sizes"] == ["Standard_DS3_v2"]
    assert result["datastores"] == ["workspaceblobstore", ["workspaceblobstore", "workspaceartifactstore"]]
    assert result["registry"] == "1"


def test_a_job_that_the_workspace_cannot_run_is_refused_in_one_line(v2_submitter: V2Submitter) -> None:
    result = v2_submitter.script_result(REFUSED)

    assert [line.partition(") ")[2] for line in result] == [
        "Unknown compute target 'gpu'.",
        "compute='local' isn't emulated; give a cluster: its jobs run here as well",
        "the workspace has no environment 'none' with version '1'",
        "registry 'azureml' has no environment 'none' with label 'latest'; it has no version",
        "registry 'azureml' has no environment 'acpt-pytorch-2.8-cuda12.6' with version '7'; it has 1",
        "jobTier 'Spot': a tier is for serverless compute, and 'gpu-cluster' is a cluster",
        "the workspace has no data 'none' with version '1'",
        "distributionType 'TensorFlow' isn't emulated; expected one of PyTorch, Mpi",
    ]
    assert v2_submitter.service.jobs == []
