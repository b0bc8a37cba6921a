"""The MLflow interface of the emulator, used by the real mlflow and azureml-mlflow in a process, and by hand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from submit.emulator import AzureMLEmulator, Fault
from submit.emulator.workspace import SCOPE, experiment_id
from tests.support.commands import environment
from tests.support.emulator_jobs import Job, batch

API = f"/mlflow/v2.0{SCOPE}/api/2.0/mlflow"
CLIENT = """
import json, mlflow, pathlib
from mlflow import MlflowClient
from mlflow.entities import Metric
client, run_id = MlflowClient(), __import__("os").environ["MLFLOW_RUN_ID"]
"""
LOGS_ALL = """
with mlflow.start_run():
    mlflow.log_metric("loss", 0.5, step=1)
    mlflow.log_metrics({"loss": 0.25, "accuracy": 0.75}, step=2)
    mlflow.log_params({"learning_rate": 0.1, "depth": 18})
    mlflow.set_tag("kind", "test")
    mlflow.log_dict({"a": 1}, "charts/a.json")
client.log_batch(run_id, metrics=[Metric("many", step / 10, 1700000000000 + step, step) for step in range(250)])
pathlib.Path("b.txt").write_text("text")
client.log_artifact(run_id, "b.txt")
found = client.get_run(run_id)
history = lambda name: [(each.step, each.value, each.timestamp) for each in client.get_metric_history(run_id, name)]
target = client.download_artifacts(run_id, "charts/a.json", ".")
print(json.dumps({
    "status": found.info.status, "params": found.data.params, "metrics": found.data.metrics,
    "tag": found.data.tags["kind"], "loss": [row[:2] for row in history("loss")], "many": history("many"),
    "files": sorted(file.path for file in client.list_artifacts(run_id)), "read": pathlib.Path(target).read_text(),
    "experiment": client.get_experiment_by_name("exp").experiment_id,
    "runs": [run.info.run_id for run in client.search_runs([found.info.experiment_id])],
}))
"""


@pytest.fixture
def job(service: AzureMLEmulator, tmp_path: Path) -> Job:
    return Job(service, tmp_path)


def read_by_client(job: Job, script: str) -> Any:
    variables = job.service.v2_job_environment(job.run_id, job.folder / "home") | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CLIENT + script],
        cwd=job.folder,
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def mlflow(job: Job, method: str, path: str, content: Any = None) -> tuple[int, Any]:
    if method == "POST":
        content = {"run_id": job.run_id} | (content or {})
    return job.ask(method, f"{API}/{path}", content)


def metric(key: str, value: Any = 0.5, step: int = 0, timestamp: int = 1_700_000_000_000) -> dict[str, Any]:
    return {"key": key, "value": value, "step": step, "timestamp": timestamp}


def test_the_unmodified_client_logs_and_reads_everything(job: Job) -> None:
    found = read_by_client(job, LOGS_ALL)

    assert found["status"] == "RUNNING"
    assert found["params"] == {"learning_rate": "0.1", "depth": "18"}
    assert found["metrics"] == {"loss": 0.25, "accuracy": 0.75, "many": 24.9}
    assert (found["tag"], found["loss"]) == ("test", [[1, 0.5], [2, 0.25]])
    assert found["many"] == [[step, step / 10, 1_700_000_000_000 + step] for step in range(250)]
    assert (found["files"], json.loads(found["read"])) == (["b.txt", "charts"], {"a": 1})
    assert (found["experiment"], found["runs"]) == (experiment_id("exp"), [job.run_id])
    run = job.service.run(job.run_id)
    assert run.artifacts["b.txt"] == b"text"
    assert {name: len(rows) for name, rows in run.metrics.items()} == {"loss": 2, "accuracy": 1, "many": 250}


def test_the_two_interfaces_have_the_same_run(job: Job) -> None:
    assert mlflow(job, "POST", "runs/log-batch", {"metrics": [metric("loss", 0.25, 3)], "tags": []}) == (200, {})
    assert job.ask("POST", f"{job.metric}/batch", batch("old"))[0] == 200
    job.ask("PATCH", job.history, {"tags": {"a": "b"}})

    status, by_core = job.ask("POST", f"{job.metric}/full", {"metricName": "loss"})
    _, by_mlflow = mlflow(job, "GET", f"runs/get?run_id={job.run_id}")

    assert (status, [(row["step"], row["data"]) for row in by_core["value"]]) == (200, [(3, {"loss": 0.25})])
    assert {entry["key"] for entry in by_mlflow["run"]["data"]["metrics"]} == {"loss", "old"}
    assert {"key": "a", "value": "b"} in by_mlflow["run"]["data"]["tags"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"metrics": [metric("a", step=step) for step in range(251)]}, "the batch has 251 rows; a batch holds 250"),
        ({"metrics": [metric("a" * 251)]}, "a metric's key has 251 characters; 250 are allowed"),
        ({"metrics": [metric("a", "NaN")]}, "the metric 'a' has the value 'NaN', which is no number"),
        ({"metrics": [{"key": "a"}]}, "a metric lacks its key, value or timestamp"),
        ({"metrics": [metric(f"m{number}") for number in range(51)]}, "the run has 50 metric names; 50 are allowed"),
        ({"params": [{"key": f"p{number}", "value": ""} for number in range(101)]}, "more than 100 parameters or tags"),
        ({"params": [{"key": "p", "value": "v" * 501}]}, "the parameter 'p' is too long"),
        ({"tags": [{"key": "t", "value": "v" * 1001}]}, "1000"),
        ({"metrics": [metric("a")], "models": []}, "the emulator doesn't know ['models'] of a batch"),
    ],
)
def test_a_batch_beyond_the_limits_is_refused_as_a_whole(job: Job, content: Any, message: str) -> None:
    good = {"metrics": [metric("good"), *content.get("metrics", ())]} if "metrics" in content else content

    status, answer = mlflow(job, "POST", "runs/log-batch", {**content, **({} if "251 rows" in message else good)})

    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert message in answer["message"]
    run = job.service.run(job.run_id)
    assert (run.metrics, run.params, run.tags) == ({}, {}, {})


def test_a_parameter_keeps_its_value(job: Job) -> None:
    def log(value: str) -> int:
        return mlflow(job, "POST", "runs/log-parameter", {"key": "p", "value": value})[0]

    assert [log("1"), log("1"), log("2")] == [200, 200, 400]
    assert job.service.run(job.run_id).params == {"p": "1"}


def test_a_history_comes_in_pages(job: Job) -> None:
    for part in range(3):
        rows = [metric("loss", step=250 * part + row) for row in range(250)]
        mlflow(job, "POST", "runs/log-batch", {"metrics": rows})
    address = f"metrics/get-history?run_id={job.run_id}&metric_key=loss&max_results=300"

    _, first = mlflow(job, "GET", address)
    _, last = mlflow(job, "GET", f"{address}&page_token=600")

    assert [len(first["metrics"]), first["next_page_token"]] == [300, "300"]
    assert [row["step"] for row in last["metrics"]] == list(range(600, 750))
    assert "next_page_token" not in last
    assert mlflow(job, "GET", address.replace("loss", "other")) == (200, {"metrics": []})


def test_a_job_changes_its_own_run_only_and_its_status_is_the_platforms(job: Job) -> None:
    other = job.service.new_run("exp").id

    assert mlflow(job, "POST", "runs/set-tag", {"run_id": other, "key": "a", "value": "b"})[0] == 401
    assert mlflow(job, "GET", f"runs/get?run_id={other}")[0] == 200
    assert mlflow(job, "GET", "runs/get?run_id=nowhere")[0] == 404
    assert mlflow(job, "POST", "runs/create", {"experiment_id": experiment_id("exp")})[0] == 401
    assert mlflow(job, "POST", "runs/update", {"status": "FINISHED"})[0] == 200
    assert job.service.run(job.run_id).status == "Running"


def test_what_the_emulator_has_no_route_for_is_refused_and_recorded(job: Job) -> None:
    status, _ = mlflow(job, "POST", "runs/delete", {})

    assert status == 404
    assert job.service.unknown == [f"POST {API}/runs/delete"]
    job.service._state.unknown.clear()


def test_it_fails_when_it_is_asked_to(job: Job) -> None:
    job.service.inject(Fault.status(429, "/mlflow/", times=1, retry_after=3))
    job.service.inject(Fault.reject_metric("loss"))

    assert mlflow(job, "POST", "runs/log-batch", {"metrics": [metric("loss")]})[0] == 429
    assert mlflow(job, "POST", "runs/log-batch", {"metrics": [metric("loss")]})[0] == 400
    assert mlflow(job, "POST", "runs/log-batch", {"metrics": [metric("other")]})[0] == 200
