"""``python -m submit.emulator --workspace``: control scripts of azureml-core run unchanged, their jobs for real."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.projects import write_files
from tests.support.submitters import TRAINING
from tests.support.workspaces import LoggedIn, wait_until_gone, workspace

TRAIN = """
import argparse, pathlib
from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, default=0.001)
options = parser.parse_args()
run = Run.get_context()
for step in range(3):
    run.log("loss", options.learning_rate / (step + 1))
pathlib.Path("outputs").mkdir(exist_ok=True)
pathlib.Path("outputs/model.pt").write_text("weights")
print("Finished Training")
"""
PRELUDE = """
import json
from azureml.core import Environment, Experiment, Model, Run, ScriptRunConfig, Workspace

ws = Workspace.from_config()
environment = Environment.from_docker_image("image", "registry/image:1")

def submit(script="train.py", compute="cpu-cluster", **further):
    config = ScriptRunConfig("src", script=script, compute_target=compute, environment=environment, **further)
    return Experiment(ws, "exp").submit(config)
"""


@pytest.fixture
def user(tmp_path: Path) -> Iterator[LoggedIn]:
    write_files(tmp_path, {"src/train.py": TRAIN.encode()})
    with workspace(tmp_path, "--jobs", "2", "--environment", "AzureML-PyTorch-1.6-CPU") as found:
        yield found


def result(user: LoggedIn, script: str) -> Any:
    """The last line that a script prints, which is JSON."""
    return json.loads(user.script(PRELUDE + script).splitlines()[-1])


def test_a_control_script_runs_to_its_end(user: LoggedIn) -> None:
    """As the first tutorial's: it opens the workspace, submits a script, follows it, and registers what it leaves."""
    out = user.script(
        PRELUDE
        + """
config = ScriptRunConfig(source_directory="./src", script="train.py", compute_target="cpu-cluster")
config.run_config.environment = ws.environments["AzureML-PyTorch-1.6-CPU"]
run = Experiment(workspace=ws, name="day1-experiment-train").submit(config)
run.wait_for_completion(show_output=True)
model = run.register_model(model_name="net", model_path="outputs/model.pt")
run.download_file("outputs/model.pt", "back/model.pt")
print(json.dumps([run.get_status(), run.get_metrics(), sorted(run.get_file_names()), model.version]))
"""
    )

    assert "Streaming user_logs/std_log.txt" in out
    assert "Finished Training" in out
    assert json.loads(out.splitlines()[-1]) == [
        "Completed",
        {"loss": [0.001, 0.0005, pytest.approx(0.001 / 3)]},
        ["outputs/model.pt", "user_logs/std_log.txt"],
        1,
    ]
    assert (user.folder / "back" / "model.pt").read_text() == "weights"


V2_SCRIPT = """
import json
from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential

credential = DefaultAzureCredential()
ml = MLClient.from_config(credential)
job = command(
    code="src", command="python hello.py", compute="cpu-cluster", experiment_name="exp",
    environment=Environment(image="registry/image:1"))
sent = ml.jobs.create_or_update(job)
ml.jobs.stream(sent.name)
print(json.dumps([ml.jobs.get(sent.name).status, type(credential._successful_credential).__name__]))
"""


@pytest.mark.slow
def test_a_script_of_azure_ai_ml_logs_in_as_a_service_principal(user: LoggedIn) -> None:
    """``DefaultAzureCredential`` asks for no managed identity."""
    write_files(user.folder, {"src/hello.py": b"print('hello')"})

    out = user.script(V2_SCRIPT)

    assert json.loads(out.splitlines()[-1]) == ["Completed", "EnvironmentCredential"]
    log = (user.folder / "emulator.log").read_text()
    assert "169.254.169.254" not in log
    assert "unknown, refused" not in log


@pytest.mark.slow
def test_a_script_that_fails_ends_its_run_with_its_last_line(user: LoggedIn) -> None:
    write_files(user.folder, {"src/fails.py": b"raise ValueError('no such thing')"})

    status, error = result(
        user,
        """
run = submit("fails.py")
try:
    run.wait_for_completion()
except Exception:
    pass
details = run.get_details()
print(json.dumps([details["status"], details["error"]["error"]["message"]]))
""",
    )

    assert status == "Failed"
    assert error == "the process of rank 0 ended with exit code 1: ValueError: no such thing"


@pytest.mark.slow
def test_a_run_that_is_cancelled_ends_its_processes(user: LoggedIn) -> None:
    script = "import pathlib, time, os; pathlib.Path(%r).write_text('1'); time.sleep(300)"
    started = user.folder / "started"
    write_files(user.folder, {"src/waits.py": (script % str(started)).encode()})

    status = result(
        user,
        f"""
import pathlib, time
run = submit("waits.py")
while not pathlib.Path({str(started)!r}).exists():
    time.sleep(0.1)
run.cancel()
print(json.dumps(run.get_status()))
""",
    )

    assert status == "Canceled"
    log = user.folder / "emulator.log"
    while "is Canceled" not in log.read_text():
        assert user.process.poll() is None


@pytest.mark.slow
def test_two_nodes_with_two_processes_each(user: LoggedIn) -> None:
    script = b"import os; print(*(os.environ[name] for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'NODE_RANK')))"
    write_files(user.folder, {"src/ranks.py": script})

    logs = result(
        user,
        """
from azureml.core.runconfig import PyTorchConfiguration
run = submit("ranks.py", "gpu-cluster", distributed_job_config=PyTorchConfiguration(process_count=4, node_count=2))
run.wait_for_completion()
print(json.dumps(run.get_details_with_logs()["logFiles"]))
""",
    )

    assert logs == {f"user_logs/std_log_process_{rank}.txt": f"{rank} 4 {rank % 2} {rank // 2}\n" for rank in range(4)}


@pytest.mark.slow
def test_a_job_reads_the_workspace(user: LoggedIn) -> None:
    """A secret, a model, its environment and a datastore, from inside."""
    job = b"""
import json
from azureml.core import Datastore, Environment, Model, Run
run = Run.get_context()
ws = run.experiment.workspace
print(json.dumps({
    "secret": run.get_secret("token"),
    "model": Model(ws, "net").version,
    "environment": run.get_environment().name,
    "datastore": ws.get_default_datastore().name,
    "child": run.child_run("fold").id != run.id,
}))
"""
    write_files(user.folder, {"src/reads.py": job, "weights": b"1"})

    log = result(
        user,
        """
ws.get_default_keyvault().set_secret("token", "s3cret")
Model.register(ws, "weights", "net")
run = submit("reads.py")
run.wait_for_completion()
print(json.dumps(run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"]))
""",
    )

    assert json.loads(str(log)) == {
        "secret": "s3cret",
        "model": 1,
        "environment": "image",
        "datastore": "workspaceblobstore",
        "child": True,
    }


SWEPT = """
import json, pathlib, sys
from azureml.core import Run
rate = float(sys.argv[sys.argv.index("--learning_rate") + 1])
run = Run.get_context()
run.log("learning_rate", rate)
for step in range(3):
    run.log("val_accuracy", rate * (step + 1))
run.upload_file("outputs/checkpoints/best.ckpt", __file__)
pathlib.Path("best.json").write_text(json.dumps({"metrics": {"val_accuracy": 2 * rate}}))
run.upload_file("outputs/checkpoints/best.json", "best.json")
run.flush()
"""


@pytest.mark.slow
def test_a_sweep_runs_to_its_end_and_its_best_run_is_registered(tmp_path: Path) -> None:
    pytest.importorskip("azureml.train.hyperdrive", reason="the extra 'sweep'")
    files = {name: content.encode() for name, content in TRAINING.items()}
    write_files(tmp_path / "training", files | {"lightning_app/fit.py": SWEPT.encode()})
    space = ("--param", "learning_rate=choice(0.001,0.01,0.05,0.1)", "--metric", "val_accuracy", "--goal", "maximize")
    job = ("--docker_image", "x:1", "--source_directory", "training", "--compute", "cpu-cluster")
    submit = (sys.executable, "-m", "submit")
    with workspace(tmp_path, "--jobs", "2") as user:
        sent = user.run(*submit, "sweep", *space, "--max_runs", "4", "--max_concurrent", "2", *job)
        assert sent.status == 0, sent.err
        sweep = sent.out.split()[1]
        user.script(PRELUDE + f"ws.get_run({sweep!r}).wait_for_completion()")
        runs = json.loads(user.run(*submit, "list", "--sweep", sweep, "--json").out)
        table = user.run(*submit, "list", "--sweep", sweep)
        registered = user.run(*submit, "register", runs[0]["run_id"], "--name", "net", "--json")

    assert [run["status"] for run in runs] == ["Completed"] * 4
    assert [run["hyperparameters"] for run in runs] == [{"learning_rate": rate} for rate in (0.1, 0.05, 0.01, 0.001)]
    assert [run["metrics"]["val_accuracy"] for run in runs] == pytest.approx([0.3, 0.15, 0.03, 0.003])
    assert table.out.splitlines()[0].split() == ["RUN", "STATUS", "DURATION", "learning_rate", "val_accuracy"]
    assert registered.status == 0, registered.err
    assert json.loads(registered.out)["tags"]["val_accuracy"] == "0.2"  # of the best checkpoint


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_in_the_temporary_directory(tmp_path: Path, kind: signal.Signals) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    with workspace(tmp_path, temporary=temporary) as user:
        during = len(list(temporary.iterdir()))
        user.process.send_signal(kind)
        user.process.wait(60)

    assert (during, list(temporary.iterdir())) == (1, [])


@pytest.mark.slow
def test_what_a_killed_emulator_leaves_the_next_one_removes(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with workspace(tmp_path, temporary=temporary) as killed:
        killed.process.kill()
        killed.process.wait(60)
    (left,) = temporary.iterdir()

    with workspace(tmp_path, temporary=temporary), workspace(tmp_path, temporary=temporary):
        wait_until_gone(left)
        both = list(temporary.iterdir())

    assert len(both) == 2
