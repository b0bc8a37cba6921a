"""The emulator, used by the real azureml-core in a process, and by requests made by hand."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.emulator_jobs import Job, ask, batch


@pytest.fixture
def any_service() -> Iterator[AzureMLEmulator]:
    with AzureMLEmulator() as running:
        yield running


REPORT = """
pathlib.Path("f.txt").write_text("hello")
pathlib.Path("picture.png").write_bytes(b"\\x89PNG\\r\\n\\x1a\\n")
pathlib.Path("empty").touch()
pathlib.Path("d/sub").mkdir(parents=True)
pathlib.Path("d/a").write_text("A")
pathlib.Path("d/sub/b").write_text("B")

class Plot:
    def savefig(self, stream, format):
        stream.write(b"picture")

run.log("float", 0.5)
run.log("int", 3, step=3, description="dropped")
run.log("text", "words")
run.log("bool", True)
run.log("none", None)
run.log_list("list", [1, 2.5, 3])
run.log_row("row", epoch=1, loss=0.5)
run.log_table("table", {"x": [1, 2], "y": [0.1, 0.2]})
run.log_confusion_matrix("confusion", {"schema_type": "confusion_matrix", "schema_version": "1.0.0",
    "data": {"class_labels": ["a", "b"], "matrix": [[1, 2], [3, 4]]}})
run.log_accuracy_table("accuracy", {"schema_type": "accuracy_table", "schema_version": "1.0.1", "data": {
    "probability_tables": [[[1, 2, 3, 4], [0, 1, 2, 3]]], "percentile_tables": [[[1, 2, 3, 4], [0, 1, 2, 3]]],
    "probability_thresholds": [0.0, 1.0], "percentile_thresholds": [0.0, 1.0], "class_labels": ["a"]}})
run.log_image("image", path="picture.png")
run.log_image("plot", plot=Plot())
run.tag("k", "v")
run.set_tags({"a": 1, "b": None, "gone": "x"})
run.remove_tags(["gone"])
run.add_properties({"p": "1"})
run.display_name = "nice"
run.upload_file("outputs/f.txt", "f.txt")
with open("f.txt", "rb") as stream:
    run.upload_file("outputs/stream", stream)
run.upload_file("empty", "empty")
run.upload_files(["m/1", "m/2"], ["f.txt", "d/a"])
run.upload_folder("up", "d")
run.download_file("outputs/stream", "back.txt")
run.download_file("empty", "empty-back")
run.download_files("up", "down")
try:
    run.download_file("missing")
except Exception as error:
    missing = str(error)
run.flush()
run.register_model("net", "outputs/f.txt", tags={"t": "1"})
model = run.register_model("net", "outputs/f.txt")
result = {
    "type": type(run).__name__,
    "tags": run.get_tags(), "properties": run.get_properties(), "status": run.get_status(),
    "details": sorted(run.get_details()), "files": sorted(run.get_file_names()),
    "metric": run.get_metrics("float"), "metrics": run.get_metrics(),
    "back": pathlib.Path("back.txt").read_text(), "empty": pathlib.Path("empty-back").read_text(),
    "down": pathlib.Path("down/up/sub/b").read_text(), "missing": missing,
    "model": model.id, "portal": run.get_portal_url(), "datasets": dict(run.input_datasets),
    "again": Run.get_context() is run,
}
run.fail("went wrong", "code")
run.complete()
print(json.dumps(result))
"""
SOURCES = ["empty", "m/1", "m/2", "outputs/f.txt", "outputs/stream", "up/a", "up/sub/b"]


def test_the_real_client_reports_and_reads_all_that_a_job_can(service: AzureMLEmulator, job: Job) -> None:
    result = json.loads(job.does(REPORT).splitlines()[-1])

    run = service.run(job.run_id)
    assert result["type"] == "_SubmittedRun"
    assert result["again"]
    assert result["status"] == run.status == "Running"
    assert result["tags"] == run.tags == {"k": "v", "a": "1", "b": None}
    assert result["properties"] == run.properties == {"p": "1"}
    assert run.display_name == "nice"
    assert {"runId", "status", "logFiles"} <= set(result["details"])
    assert set(SOURCES) < set(result["files"]) == set(run.artifacts)
    assert run.artifacts["outputs/stream"] == b"hello"
    assert (result["back"], result["empty"], result["down"]) == ("hello", "", "B")
    assert "outputs/f.txt" in result["missing"]
    assert result["metric"] == {"float": 0.5}
    assert result["metrics"]["list"] == [1, 2.5, 3]
    assert result["metrics"]["row"] == {"epoch": 1, "loss": 0.5}
    assert result["metrics"]["table"] == {"x": [1, 2], "y": [0.1, 0.2]}
    assert result["metrics"]["confusion"] == f"aml://artifactId/ExperimentRun/dcid.{job.run_id}/confusion"
    assert run.metrics["image"][0].kind == "azureml.v2.image"
    assert [(row.step, row.data) for row in run.metrics["int"]] == [(3, {"int": 3})]
    assert result["model"] == "net:2"
    assert [(model.name, model.version, model.tags) for model in service.models] == [
        ("net", 1, {"t": "1"}),
        ("net", 2, {}),
    ]
    assert result["portal"].startswith(service.url)
    assert result["datasets"] == {}
    assert [event["name"] for event in run.events] == ["Microsoft.MachineLearning.Run.Error"]


def test_an_unknown_route_is_refused_and_recorded(any_service: AzureMLEmulator, tmp_path: Path) -> None:
    job = Job(any_service, tmp_path)

    status, _, error = job.tries("run.experiment.start_logging()")
    answer = job.ask("GET", "/nowhere?x=1")
    options = job.ask("OPTIONS", "/emulator/state")

    assert status != 0
    assert "a job creates children only" in error
    assert answer == (404, {"error": {"code": "UnknownRoute", "message": DONT_KNOW, "details": []}})
    assert options[0] == 404
    assert any_service.unknown == ["GET /nowhere", "OPTIONS /emulator/state"]
    assert job.statuses("/nowhere") == [404]


DONT_KNOW = "the emulator doesn't know GET /nowhere"


def test_the_client_reports_an_unknown_route(any_service: AzureMLEmulator, tmp_path: Path) -> None:
    job = Job(any_service, tmp_path)

    status, _, error = job.tries("list(run.experiment.get_runs())")

    assert status != 0
    assert "the emulator doesn't know" in error
    assert len(any_service.unknown) == 1
    assert "runs:query" in any_service.unknown[0]


def test_nothing_leaves_the_machine(any_service: AzureMLEmulator, tmp_path: Path) -> None:
    job = Job(any_service, tmp_path)
    script = """
import requests
for url in ("https://example.com/", "http://example.com/x"):
    try:
        print(requests.get(url, timeout=10).status_code)
    except requests.exceptions.ProxyError as error:
        print("502" in str(error))
"""

    out = job.does(script)

    assert out.split() == ["True", "404"]
    assert any_service.unknown == ["CONNECT example.com:443", "GET http://example.com/x"]


def test_a_request_needs_a_token_of_this_service_for_this_run(service: AzureMLEmulator, job: Job) -> None:
    other = service.new_run("exp").id
    expired = Job(service, job.folder, token_seconds=-60).environment["AZUREML_RUN_TOKEN"]
    head, claims, _ = job.environment["AZUREML_RUN_TOKEN"].split(".")

    answers = [
        ask(service, "GET", job.history, None),
        job.ask("GET", job.history, token=f"{head}.{claims}.{head}"),
        job.ask("GET", job.history, token=f"{head}.{claims}."),
        job.ask("GET", job.history, token=expired),
        job.ask("POST", f"{job.metric.replace(job.run_id, other)}/batch", batch("loss")),
        job.ask("POST", job.artifact.replace(job.run_id, other), {"paths": []}),
    ]

    assert [status for status, _ in answers] == [401] * 6
    assert all(answer["error"]["details"] == [] for _, answer in answers)
    assert job.ask("GET", job.history)[0] == 200


def test_a_job_reads_the_files_of_another_run_of_the_workspace(service: AzureMLEmulator, job: Job) -> None:
    other = service.new_run("elsewhere").id
    service.add_artifact(other, "outputs/a.txt", b"content")

    out = job.does(
        f"other = run.experiment.workspace.get_run({other!r})\n"
        "other.download_file('outputs/a.txt', 'b.txt')\n"
        "print(other.get_file_names(), pathlib.Path('b.txt').read_text())"
    )

    assert out == "['outputs/a.txt'] content\n"


def test_an_expired_token_is_refreshed_by_the_client(service: AzureMLEmulator, tmp_path: Path) -> None:
    job = Job(service, tmp_path, token_seconds=-1800)

    job.does("run.tag('k', 'v')")

    assert job.statuses("/token") == [200]
    assert service.run(job.run_id).tags == {"k": "v"}


def test_a_token_that_expired_long_ago_gets_no_new_one(service: AzureMLEmulator, tmp_path: Path) -> None:
    job = Job(service, tmp_path, token_seconds=-3700)

    status, answer = job.ask("GET", f"{job.history}/token")

    assert (status, answer["error"]["message"]) == (401, "the token has expired")


def test_a_revoked_token_serves_for_a_new_one_only(service: AzureMLEmulator, job: Job) -> None:
    service.revoke_tokens()

    refused = job.ask("GET", job.history)
    status, new = job.ask("GET", f"{job.history}/token")

    assert refused[0] == 401
    assert status == 200
    assert job.ask("GET", job.history, token=new["token"])[0] == 200
