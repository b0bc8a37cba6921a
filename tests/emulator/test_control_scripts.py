"""Calls that control scripts of azureml-core make: logging, the workspace itself, datasets, folders of a datastore."""

import pytest

from tests.support.control_scripts import NEEDS_DATASETS, result
from tests.support.projects import write_files
from tests.support.workspaces import LoggedIn


def test_the_notebook_on_logging(user: LoggedIn) -> None:
    found = result(
        user,
        """
import matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot
experiment = Experiment(workspace=ws, name="logging-api-test")
run = experiment.start_logging(snapshot_directory=None)
run.log(name="magic number", value=42)
run.log(name="message", value="my message")
run.log_list(name="fibonacci", value=[0, 1, 1, 2, 3, 5, 8])
for angle in (0.0, 0.5, 1.0):
    run.log_row(name="cosine", angle=angle, cos=1 - angle)
run.log_table(name="sine", value={"angle": [0.0, 1.0], "sine": [0.0, 0.8]})
pyplot.plot([1, 2])
run.log_image(name="a plot of two points", plot=pyplot)
run.log_confusion_matrix("matrix", {"schema_type": "confusion_matrix", "schema_version": "1.0.0",
                                    "data": {"class_labels": ["a", "b"], "matrix": [[3, 1], [0, 2]]}})
open("myfile.txt", "w").write("some text")
run.upload_file(name="myfile_inrun.txt", path_or_stream="myfile.txt")
run.tag("kind", "trial")
for child in run.create_children(count=2):
    child.log("part", 1)
    child.complete()
run.child_run("third").complete()
run.complete()
run.download_file("myfile_inrun.txt", "back.txt")
metrics = run.get_metrics()
failed = experiment.start_logging(snapshot_directory=None)
failed.fail("out of luck")
print(json.dumps({
    "status": run.get_status(), "number": metrics["magic number"], "list": metrics["fibonacci"],
    "row": metrics["cosine"], "table": metrics["sine"], "files": len(run.get_file_names()),
    "back": open("back.txt").read(), "children": len(list(run.get_children())), "tags": run.get_tags(),
    "runs": [each.get_status() for each in experiment.get_runs()], "one": run.get_metrics("message"),
    "recursive": len(run.get_metrics(recursive=True)),
}))
""",
    )

    assert found["status"] == "Completed"
    assert (found["number"], found["one"]) == (42, {"message": "my message"})
    assert found["list"] == [0, 1, 1, 2, 3, 5, 8]
    assert found["row"] == {"angle": [0.0, 0.5, 1.0], "cos": [1.0, 0.5, 0.0]}
    assert found["table"] == {"angle": [0.0, 1.0], "sine": [0.0, 0.8]}
    assert (found["back"], found["children"], found["tags"]) == ("some text", 3, {"kind": "trial"})
    assert sorted(found["runs"]) == ["Completed", "Failed"]


@pytest.mark.slow
def test_calls_about_the_workspace_itself(user: LoggedIn) -> None:
    """What users administrate: environments, computes, experiments, datastores and models."""
    write_files(user.folder, {"weights": b"1"})

    found = result(
        user,
        """
from azureml.core.compute import ComputeTarget
environment = Environment("mine").register(ws)
build = environment.build(ws)
experiment = Experiment(ws, "tagged")
experiment.start_logging(snapshot_directory=None).complete()
experiment.set_tags({"a": "1"})
experiment.tag("b", "2")
Datastore.register_azure_blob_container(ws, "extra", "container", "account", account_key="a2V5")
before = sorted(ws.datastores)
extra = Datastore.get(ws, "extra")
where = [extra.name, extra.container_name, extra.account_name]
extra.unregister()
model = Model.register(ws, "weights", "net", tags={"a": "1"})
model.update(tags={"b": "2"}, description="of two")
model.add_tags({"c": "3"})
again = Model(ws, "net")
model.delete()
print(json.dumps({
    "environment": [environment.name, environment.version, Environment.get(ws, "mine").version],
    "built": build.status, "nodes": ComputeTarget(ws, "cpu-cluster").list_nodes(),
    "experiment": Experiment(ws, "tagged").tags, "datastores": [before, sorted(ws.datastores)], "extra": where,
    "model": [again.tags, again.description], "models": len(Model.list(ws)),
}))
""",
    )

    default = "workspaceblobstore"
    assert found.pop("datastores") == [sorted(["extra", default]), [default]]
    assert found == {
        "environment": ["mine", "1", "1"],
        "built": "Succeeded",
        "nodes": [],
        "experiment": {"a": "1", "b": "2"},
        "extra": ["extra", "container", "account"],
        "model": [{"b": "2", "c": "3"}, "of two"],
        "models": 0,
    }


@pytest.mark.slow
@NEEDS_DATASETS
def test_calls_about_datasets(user: LoggedIn) -> None:
    write_files(user.folder, {"pictures/a.txt": b"a", "pictures/b.txt": b"b"})

    found = result(
        user,
        """
store = ws.get_default_datastore()
dataset = Dataset.File.upload_directory("pictures", (store, "pictures"), show_progress=False)
first = dataset.register(ws, "pictures").version
second = dataset.register(ws, "pictures", create_new_version=True).version
named = Dataset.get_by_name(ws, "pictures")
version = named.version
paths = [named.to_path(), len(named.download("here", overwrite=True))]
listed = [name for name in ws.datasets]  # list() asks for the length first, which azureml-core can't take
named.unregister_all_versions()
try:
    Dataset.get_by_name(ws, "pictures")
    gone = False
except Exception:
    gone = True
print(json.dumps({"versions": [first, second, version], "paths": paths, "listed": listed, "gone": gone,
                  "left": [name for name in ws.datasets]}))
""",
    )

    assert found == {
        "versions": [1, 2, 2],
        "paths": [["/a.txt", "/b.txt"], 2],
        "listed": ["pictures"],
        "gone": True,
        "left": [],
    }


@pytest.mark.slow
@NEEDS_DATASETS
def test_a_job_writes_to_a_folder_of_the_datastore(user: LoggedIn) -> None:
    script = b"import pathlib, sys; pathlib.Path(sys.argv[1], 'a.txt').write_text('made')"
    write_files(user.folder, {"src/train.py": script})

    status, content = result(
        user,
        """
from azureml.data import OutputFileDatasetConfig
datastore = ws.get_default_datastore()
written = OutputFileDatasetConfig(name="made", destination=(datastore, "made/{run-id}")).as_mount()
config = ScriptRunConfig("src", "train.py", [written], compute_target="cpu-cluster", environment=Environment("mine"))
run = Experiment(ws, "outputs").submit(config)
run.wait_for_completion(raise_on_error=False)
datastore.download("here", prefix=f"made/{run.id}")
print(json.dumps([run.get_status(), open(f"here/made/{run.id}/a.txt").read()]))
""",
    )

    assert (status, content) == ("Completed", "made")


@pytest.mark.slow
@NEEDS_DATASETS
def test_a_job_that_registers_what_it_writes_fails_with_the_reason(user: LoggedIn) -> None:
    write_files(user.folder, {"src/train.py": b"print('never')"})

    status, message = result(
        user,
        """
from azureml.data import OutputFileDatasetConfig
written = OutputFileDatasetConfig(name="made", destination=(ws.get_default_datastore(), "made"))
config = ScriptRunConfig("src", "train.py", [written.register_on_complete("x")], compute_target="cpu-cluster",
                         environment=Environment("mine"))
run = Experiment(ws, "outputs").submit(config)
run.wait_for_completion(raise_on_error=False)
details = run.get_details()
print(json.dumps([details["status"], details["error"]["error"]["message"]]))
""",
    )

    assert status == "Failed"
    assert message == "the job's output 'made' is registered, or not mounted or uploaded: not emulated"


@pytest.mark.slow
def test_a_job_on_the_users_own_machine_is_refused_in_one_line(user: LoggedIn) -> None:
    write_files(user.folder, {"src/train.py": b"print('never')"})

    message = result(
        user,
        """
config = ScriptRunConfig("src", "train.py", compute_target="local", environment=Environment("mine"))
config.run_config.environment.python.user_managed_dependencies = True
try:
    Experiment(ws, "local").submit(config)
    message = "sent"
except Exception as error:
    message = str(error)
print(json.dumps(message))
""",
    )

    assert "local" in message
    assert "cpu-cluster" in message
