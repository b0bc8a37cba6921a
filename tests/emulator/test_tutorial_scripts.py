"""Control scripts of azureml-core as tutorials and notebooks have them, run to their end against the workspace mode.

They make the calls of the first-day tutorials, of the guides to PyTorch, and of Microsoft's notebooks on distributed
training, clusters and hyperparameters. Their training scripts train for real.
"""

import json

import pytest

from tests.support.control_scripts import CIFAR10, DISTRIBUTED, IMAGES, IMPORTS, NEEDS_DATASETS, SCORE, result
from tests.support.images import make_cifar10, make_image_folder
from tests.support.projects import write_files
from tests.support.workspaces import LoggedIn


@pytest.mark.slow
def test_the_tutorial_that_trains_a_first_model(user: LoggedIn) -> None:
    make_cifar10(user.folder / "data")
    write_files(user.folder, {"src/train.py": CIFAR10})

    status, metrics, log = result(
        user,
        """
config = ScriptRunConfig(source_directory="./src", script="train.py", compute_target="cpu-cluster",
                         arguments=["--data_path", os.path.abspath("data")])
config.run_config.environment = ws.environments["AzureML-PyTorch-1.6-CPU"]
run = Experiment(workspace=ws, name="day1-experiment-train").submit(config)
assert run.id in run.get_portal_url()
run.wait_for_completion()
log = run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"]
print(json.dumps([run.get_status(), run.get_metrics(), log]))
""",
    )

    assert status == "Completed"
    assert len(metrics["loss"]) == 2
    assert metrics["loss"][1] < metrics["loss"][0]
    assert log.splitlines()[-1] == "Finished Training"


@pytest.mark.slow
@NEEDS_DATASETS
def test_the_tutorial_that_uploads_its_data(user: LoggedIn) -> None:
    make_cifar10(user.folder / "data")
    write_files(user.folder, {"src/train.py": CIFAR10})

    status, files, definition, losses = result(
        user,
        """
datastore = ws.get_default_datastore()
datastore.upload(src_dir="./data", target_path="datasets/cifar10", overwrite=True)
dataset = Dataset.File.from_files(path=(datastore, "datasets/cifar10"))
config = ScriptRunConfig(
    source_directory="./src", script="train.py", compute_target="cpu-cluster",
    arguments=["--data_path", dataset.as_named_input("input").as_mount(), "--learning_rate", 0.003, "--momentum", 0.92],
)
config.run_config.environment = ws.environments["AzureML-PyTorch-1.6-CPU"]
run = Experiment(workspace=ws, name="day1-experiment-data").submit(config)
run.wait_for_completion()
log = run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"]
print(json.dumps([run.get_status(), log.splitlines()[0], run.get_details()["runDefinition"]["arguments"],
                  run.get_metrics()["loss"]]))
""",
    )

    assert (status, files) == ("Completed", "files ['cifar-10-batches-py']")
    assert definition[2:] == ["--learning_rate", 0.003, "--momentum", 0.92]
    assert len(losses) == 2


@pytest.mark.slow
def test_the_guide_to_estimators(user: LoggedIn) -> None:
    """On one node with a datastore's files, and on two by MPI with an image of one's own."""
    pytest.importorskip("azureml.train.estimator", reason="the extra 'sweep'")
    write_files(user.folder, {"project/train.py": SCORE, "sample/a.csv": b"1\n2\n", "sample/b.csv": b"3\n"})

    details, logs, metrics = result(
        user,
        """
from azureml.train.estimator import Estimator
ds = ws.get_default_datastore()
ds.upload_files(["sample/a.csv", "sample/b.csv"], target_path="sample", show_progress=False)
compute_target = ws.compute_targets["cpu-cluster"]
parameters = {"--data-folder": ds.as_mount(), "--regularization": 0.5}
single = Estimator(source_directory="./project", script_params=parameters, compute_target=compute_target,
                   entry_script="train.py", conda_packages=["scikit-learn"])
run = Experiment(ws, "estimators").submit(single)
run.wait_for_completion(show_output=True)
parameters = {"--data-folder": ds.path("sample").as_mount(), "--regularization": 0.5}
several = Estimator(source_directory="./project", script_params=parameters, compute_target=compute_target,
                    entry_script="train.py", node_count=2, process_count_per_node=1, distributed_backend="mpi",
                    pip_packages=["cntk==2.5.1"], custom_docker_image="microsoft/mmlspark:0.12")
both = Experiment(ws, "estimators").submit(several)
both.wait_for_completion(show_output=True)
print(json.dumps([run.get_details()["status"], both.get_details_with_logs()["logFiles"], run.get_metrics()]))
""",
    )

    assert details == "Completed"
    logs = {name: log for name, log in logs.items() if "std_log" in name}
    assert logs == {f"user_logs/std_log_process_{rank}.txt": f"rank {rank} of 2: 3 numbers\n" for rank in range(2)}
    assert metrics == {"score": 3.0}


@pytest.mark.slow
def test_the_guide_to_transfer_learning(user: LoggedIn) -> None:
    make_image_folder(user.folder / "images")
    conda = b"channels: [conda-forge]\ndependencies:\n- python=3.10\n- pip: [azureml-defaults, torch, torchvision]\n"
    write_files(user.folder, {"pytorch_train.py": IMAGES, "conda_dependencies.yml": conda})

    out = user.script(
        IMPORTS
        + """
import shutil
from azureml.core.compute import AmlCompute, ComputeTarget
from azureml.core.compute_target import ComputeTargetException

os.makedirs("./pytorch-birds", exist_ok=True)
shutil.copy("pytorch_train.py", "./pytorch-birds")
try:
    compute_target = ComputeTarget(workspace=ws, name="gpu-birds")
except ComputeTargetException:
    wanted = AmlCompute.provisioning_configuration(vm_size="STANDARD_NC6", max_nodes=4)
    compute_target = ComputeTarget.create(ws, "gpu-birds", wanted)
    compute_target.wait_for_completion(show_output=True, min_node_count=None, timeout_in_minutes=20)

curated = Environment.get(workspace=ws, name="AzureML-PyTorch-1.6-GPU")
curated.save_to_directory(path="curated")
clone = curated.clone(new_name="of-my-own")
pytorch_env = Environment.from_conda_specification(name="pytorch-1.6-gpu", file_path="./conda_dependencies.yml")
pytorch_env.docker.base_image = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"

src = ScriptRunConfig(source_directory="./pytorch-birds", script="pytorch_train.py", compute_target=compute_target,
                      arguments=["--num_epochs", 2, "--output_dir", "./outputs", "--images", os.path.abspath("images")],
                      environment=pytorch_env)
run = Experiment(ws, name="Tutorial-pytorch-birds").submit(src)
run.wait_for_completion(show_output=True)
model = run.register_model(model_name="pytorch-birds", model_path="outputs/model.pt")
os.makedirs("./model", exist_ok=True)
run.download_file(name="outputs/model.pt", output_file_path="./model/model.pt")
print(json.dumps([run.get_status(), run.get_metrics(), clone.name, run.get_environment().name, model.version]))
"""
    )

    assert "Streaming user_logs/std_log.txt" in out
    status, metrics, *names = json.loads(out.splitlines()[-1])
    assert (status, names) == ("Completed", ["of-my-own", "pytorch-1.6-gpu", 1])
    assert len(metrics["best_val_acc"]) == 2
    assert (user.folder / "model" / "model.pt").stat().st_size > 1_000_000
    assert (user.folder / "curated").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    ["PyTorchConfiguration(process_count=4, node_count=2)", "MpiConfiguration(process_count_per_node=2, node_count=2)"],
)
def test_the_notebook_on_distributed_training(user: LoggedIn, launcher: str) -> None:
    """With gloo in place of nccl, because no node here has a GPU."""
    write_files(user.folder, {"src/train.py": DISTRIBUTED})

    status, logs, metrics = result(
        user,
        f"""
from azureml.core.runconfig import MpiConfiguration, PyTorchConfiguration
config = ScriptRunConfig("src", "train.py", ["--epochs", 3], compute_target=ws.compute_targets["gpu-cluster"],
                         environment=Environment.get(ws, "AzureML-PyTorch-1.6-GPU"), distributed_job_config={launcher})
run = Experiment(ws, "pytorch-distr").submit(config)
run.wait_for_completion(show_output=False)
print(json.dumps([run.get_status(), run.get_details_with_logs()["logFiles"], run.get_metrics()]))
""",
    )

    assert status == "Completed"
    assert len(set(logs.values())) == 1  # the weights are those of all processes
    assert len(logs) == 4
    assert metrics["loss"][2] < metrics["loss"][0]


@pytest.mark.slow
def test_the_notebook_on_clusters(user: LoggedIn) -> None:
    write_files(user.folder, {"src/train.py": SCORE, "sample/a.csv": b"1\n"})

    found = result(
        user,
        """
from azureml.core.compute import AmlCompute, ComputeTarget
sizes = AmlCompute.supported_vmsizes(workspace=ws)
wanted = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=4)
cluster = ComputeTarget.create(ws, "cpu-mine", wanted)
cluster.wait_for_completion(show_output=True)
config = ScriptRunConfig("src", "train.py", ["--data-folder", os.path.abspath("sample"), "--regularization", 0.5],
                         compute_target=cluster, environment=Environment("project"))
run = Experiment(ws, "train-on-amlcompute").submit(config)
run.wait_for_completion(show_output=True)
status = cluster.get_status()
listed = [compute.name for compute in ComputeTarget.list(ws)]
cluster.update(min_nodes=0, max_nodes=2, idle_seconds_before_scaledown=1200)
cluster.refresh_state()
scale = cluster.get_status().scale_settings
nodes = cluster.list_nodes()
cluster.delete()
print(json.dumps({
    "a size": "name" in sizes[0], "metrics": run.get_metrics(), "state": status.provisioning_state,
    "nodes": nodes, "listed": sorted(listed), "most": scale.maximum_node_count,
    "idle": scale.idle_seconds_before_scaledown if hasattr(scale, "idle_seconds_before_scaledown") else 1200,
}))
""",
    )

    assert found == {
        "a size": True,
        "metrics": {"score": 0.5},
        "state": "Succeeded",
        "nodes": [],
        "listed": ["cpu-cluster", "cpu-mine", "gpu-cluster"],
        "most": 2,
        "idle": 1200,
    }


@pytest.mark.slow
def test_the_notebook_on_hyperparameters(user: LoggedIn) -> None:
    pytest.importorskip("azureml.train.hyperdrive", reason="the extra 'sweep'")
    write_files(user.folder, {"src/train.py": SCORE, "sample/a.csv": b"1\n2\n"})

    found = result(
        user,
        """
from azureml.train.hyperdrive import (
    BanditPolicy, HyperDriveConfig, PrimaryMetricGoal, RandomParameterSampling, choice, uniform,
)
config = ScriptRunConfig("src", "train.py", ["--data-folder", os.path.abspath("sample")],
                         compute_target="cpu-cluster", environment=Environment("project"))
sampling = RandomParameterSampling({"--regularization": choice(0.25, 0.5), "--momentum": uniform(0.1, 0.9)})
sweep = Experiment(ws, "hyper").submit(HyperDriveConfig(
    run_config=config, hyperparameter_sampling=sampling, primary_metric_name="score",
    policy=BanditPolicy(slack_factor=0.15, evaluation_interval=1, delay_evaluation=10),
    primary_metric_goal=PrimaryMetricGoal.MAXIMIZE, max_total_runs=4, max_concurrent_runs=2))
sweep.wait_for_completion(show_output=True)
best = sweep.get_best_run_by_primary_metric()
children = sweep.get_children_sorted_by_primary_metric()
model = best.register_model("net", model_path="outputs/model.json", properties={"of": best.id})
print(json.dumps({
    "status": sweep.get_status(), "children": len(list(sweep.get_children())),
    "best": best.get_metrics()["score"], "all": [child["best_primary_metric"] for child in children],
    "drawn": sorted(ws.get_run(sweep.id).get_hyperparameters()) == sorted(child.id for child in sweep.get_children()),
    "arguments": best.get_details()["runDefinition"]["arguments"][2::2], "model": model.run_id == best.id,
    "metrics": len(sweep.get_metrics()),
}))
""",
    )

    scores = found.pop("all")
    assert scores == sorted(scores, reverse=True)
    assert found == {
        "status": "Completed",
        "children": 4,
        "best": scores[0],
        "drawn": True,
        "arguments": ["--regularization", "--momentum"],
        "model": True,
        "metrics": 4,
    }
