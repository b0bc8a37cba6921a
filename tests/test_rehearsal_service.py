"""The rehearsal service, asked by the real azureml-core in its own process, and by hand for what that can't ask."""

import http.client
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from submit.rehearsal import AzureMLService, Fault
from submit.rehearsal.workspace import SCOPE, experiment_id
from tests.conftest import ROOT

GET_CONTEXT = "import json, pathlib, sys, time\nfrom azureml.core import Run\nrun = Run.get_context()\n"


class Job:
    """A run, with a folder that stands for its node's disk."""

    def __init__(self, service: AzureMLService, folder: Path, token_seconds: float = 3600) -> None:
        self.service = service
        self.folder = folder
        self.run_id = service.new_run("exp").id
        self.environment = service.job_environment(self.run_id, folder / "home", token_seconds)

    @contextmanager
    def start(self, script: str, **environment: str) -> "Iterator[subprocess.Popen[str]]":
        """The script in a process of the job, after ``run = Run.get_context()``."""
        command = [sys.executable, "-c", GET_CONTEXT + script]
        variables = {"PATH": os.environ["PATH"], "TZ": "UTC"} | self.environment | environment
        with running(command, self.folder, variables) as process:
            yield process

    def does(self, script: str, **environment: str) -> str:
        """What the script prints; it must succeed."""
        status, out, error = self.tries(script, **environment)
        assert status == 0, error
        return out

    def tries(self, script: str, **environment: str) -> tuple[int, str, str]:
        with self.start(script, **environment) as process:
            out, error = process.communicate(timeout=60)
        return process.returncode, out, error

    def ask(self, method: str, path: str, content: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Status and content of what the service answers to the job's token, or another."""
        return ask(self.service, method, path, content, token or self.environment["AZUREML_RUN_TOKEN"])

    @property
    def history(self) -> str:
        return f"/history/v1.0{SCOPE}/experimentids/{experiment_id('exp')}/runs/{self.run_id}"

    @property
    def metric(self) -> str:
        return f"/metric/v2.0{SCOPE}/runs/{self.run_id}"

    @property
    def artifact(self) -> str:
        return f"/artifact/v2.0{SCOPE}/artifacts/batch/metadata/ExperimentRun/dcid.{self.run_id}"

    def counts(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self.service.run(self.run_id).metrics.items()}

    def statuses(self, path: str) -> list[int | None]:
        return [request.status for request in self.service.requests if path in request.path]


@contextmanager
def running(
    command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> "Iterator[subprocess.Popen[str]]":
    """A process that doesn't outlive the test."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(service: AzureMLService, method: str, path: str, content: Any, token: str = "") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    try:
        body = content if isinstance(content, bytes | None) else json.dumps(content)
        connection.request(method, path, body, {"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read() or "null")
    finally:
        connection.close()


def batch(*names: str, rows: int = 1, columns: int = 1, value: Any = 1.0, second: int = 0) -> dict[str, Any]:
    """Of metrics, each with these rows; the first column is called like the metric."""

    def row(name: str, step: int) -> dict[str, Any]:
        data = {column(name, number): value for number in range(columns)}
        created = f"2026-11-20T22:00:{second:02}.5Z"
        return {"metricId": str(uuid.uuid4()), "createdUtc": created, "step": step, "data": data}

    def column(name: str, number: int) -> str:
        return name if number == 0 else f"{name}{number}"

    values = [
        {
            "name": name,
            "columns": {column(name, number): "double" for number in range(columns)},
            "value": [row(name, step) for step in range(rows)],
            "properties": {"uxMetricType": "azureml.v1.scalar"},
        }
        for name in names
    ]
    return {"values": values, "reportErrors": True}


@pytest.fixture
def any_service() -> Iterator[AzureMLService]:
    with AzureMLService() as running:
        yield running


@pytest.fixture
def service(any_service: AzureMLService) -> Iterator[AzureMLService]:
    """Fails a test that asked for what nobody knows."""
    yield any_service
    assert any_service.unknown == []


@pytest.fixture
def job(service: AzureMLService, tmp_path: Path) -> Job:
    return Job(service, tmp_path)


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
FILES = ["empty", "m/1", "m/2", "outputs/f.txt", "outputs/stream", "up/a", "up/sub/b"]


def test_the_real_client_reports_and_reads_all_that_a_job_can(service: AzureMLService, job: Job) -> None:
    result = json.loads(job.does(REPORT).splitlines()[-1])

    run = service.run(job.run_id)
    assert result["type"] == "_SubmittedRun"
    assert result["again"]
    assert result["status"] == run.status == "Running"
    assert result["tags"] == run.tags == {"k": "v", "a": "1", "b": None}
    assert result["properties"] == run.properties == {"p": "1"}
    assert run.display_name == "nice"
    assert {"runId", "status", "logFiles"} <= set(result["details"])
    assert set(FILES) < set(result["files"]) == set(run.artifacts)
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


def test_a_route_that_nobody_knows_is_refused_and_remembered(any_service: AzureMLService, tmp_path: Path) -> None:
    job = Job(any_service, tmp_path)

    status, _, error = job.tries("run.child_run('child')")
    answer = job.ask("GET", "/nowhere?x=1")
    options = job.ask("OPTIONS", "/rehearsal/state")

    assert status != 0
    assert "401" in error  # a child is another run, which the token isn't for
    assert answer == (404, {"error": {"code": "UnknownRoute", "message": DONT_KNOW, "details": []}})
    assert options[0] == 404
    assert any_service.unknown == ["GET /nowhere", "OPTIONS /rehearsal/state"]
    assert job.statuses("/nowhere") == [404]


DONT_KNOW = "this rehearsal of Azure ML doesn't know GET /nowhere"


def test_the_client_hears_of_a_route_that_nobody_knows(any_service: AzureMLService, tmp_path: Path) -> None:
    job = Job(any_service, tmp_path)

    status, _, error = job.tries("list(run.experiment.get_runs())")

    assert status != 0
    assert "this rehearsal of Azure ML doesn't know" in error
    assert len(any_service.unknown) == 1
    assert "runs:query" in any_service.unknown[0]


def test_nothing_leaves_the_machine(any_service: AzureMLService, tmp_path: Path) -> None:
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


def test_a_request_needs_a_token_of_this_service_for_this_run(service: AzureMLService, job: Job) -> None:
    other = service.new_run("exp").id
    expired = Job(service, job.folder, token_seconds=-60).environment["AZUREML_RUN_TOKEN"]
    head, claims, _ = job.environment["AZUREML_RUN_TOKEN"].split(".")

    answers = [
        ask(service, "GET", job.history, None),
        job.ask("GET", job.history, token=f"{head}.{claims}.{head}"),
        job.ask("GET", job.history, token=f"{head}.{claims}."),
        job.ask("GET", job.history, token=expired),
        job.ask("GET", job.history.replace(job.run_id, other)),
        job.ask("POST", job.artifact.replace(job.run_id, other), {"paths": []}),
    ]

    assert [status for status, _ in answers] == [401] * 6
    assert all(answer["error"]["details"] == [] for _, answer in answers)
    assert job.ask("GET", job.history)[0] == 200


def test_an_expired_token_is_refreshed_by_the_client(service: AzureMLService, tmp_path: Path) -> None:
    job = Job(service, tmp_path, token_seconds=-1800)

    job.does("run.tag('k', 'v')")

    assert job.statuses("/token") == [200]
    assert service.run(job.run_id).tags == {"k": "v"}


def test_a_token_that_expired_long_ago_gets_no_new_one(service: AzureMLService, tmp_path: Path) -> None:
    job = Job(service, tmp_path, token_seconds=-3700)

    status, answer = job.ask("GET", f"{job.history}/token")

    assert (status, answer["error"]["message"]) == (401, "the token has expired")


def test_a_revoked_token_serves_for_a_new_one_only(service: AzureMLService, job: Job) -> None:
    service.revoke_tokens()

    refused = job.ask("GET", job.history)
    status, new = job.ask("GET", f"{job.history}/token")

    assert refused[0] == 401
    assert status == 200
    assert job.ask("GET", job.history, token=new["token"])[0] == 200


def test_rows_are_read_in_pages_and_by_time(service: AzureMLService, job: Job) -> None:
    sent = [batch("loss", rows=250, second=second) for second in range(10)]
    script = """
from datetime import datetime
metrics = run._client.metrics
rows = metrics.get_metric_dto_for_run_v2("loss").value
late = metrics.get_metric_dto_for_run_v2("loss", start_time=datetime(2026, 11, 20, 22, 0, 3),
                                         end_time=datetime(2026, 11, 20, 22, 0, 8)).value
print(json.dumps({"ids": [row.metric_id for row in rows], "steps": [row.step for row in rows],
                  "first": str(rows[0].created_utc), "late": len(late),
                  "none": metrics.get_metric_dto_for_run_v2("other"), "all": len(run.get_metrics()["loss"])}))
"""
    for one in sent:
        assert job.ask("POST", f"{job.metric}/batch", one)[0] == 200

    result = json.loads(job.does(script))

    assert result["ids"] == [row["metricId"] for one in sent for row in one["values"][0]["value"]]
    assert result["steps"] == list(range(250)) * 10
    assert result["first"] == "2026-11-20 22:00:00.500000+00:00"
    assert (result["late"], result["none"], result["all"]) == (1250, None, 2500)


def test_a_row_that_was_posted_twice_is_there_twice(job: Job) -> None:
    sent = batch("loss")

    for _ in range(2):
        job.ask("POST", f"{job.metric}/batch", sent)

    rows = job.service.run(job.run_id).metrics["loss"]
    assert len(rows) == 2
    assert rows[0] == rows[1]


def test_four_hundred_full_batches_take_seconds(job: Job) -> None:
    body = json.dumps(batch("loss", rows=250)).encode()
    headers = {"Authorization": f"Bearer {job.environment['AZUREML_RUN_TOKEN']}"}
    connection = http.client.HTTPConnection("127.0.0.1", job.service.port)
    began = time.monotonic()

    for _ in range(400):
        connection.request("POST", f"{job.metric}/batch", body, headers)
        assert connection.getresponse().read() == b"{}"

    assert time.monotonic() - began < 15  # 40 ms of delayed acknowledgement a request would be 16
    assert job.counts() == {"loss": 100_000}
    connection.close()


def test_a_batch_with_a_nan_is_no_valid_json_and_refused_as_a_whole(job: Job) -> None:
    script = """
run.log("nan", float("nan"))
run.log("good", 1.0)
try:
    run.flush()
except Exception as error:
    print("NaN is no JSON value" in str(error))
"""

    out = job.does(script)

    assert out.split() == ["True"]
    assert job.counts() == {}
    assert set(job.statuses("/batch")) == {400}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (batch("a", "b", rows=126), "the batch has 252 rows; a batch holds 250 at most"),
        (b'{"values": [Infinity]}', "the body isn't valid JSON: Infinity is no JSON value"),
        ({"values": [{"name": "a"}]}, "the body isn't a batch of metrics"),
        ([], "the body isn't a batch of metrics"),
    ],
)
def test_a_batch_that_is_too_long_or_malformed_is_refused_as_a_whole(job: Job, content: Any, message: str) -> None:
    status, answer = job.ask("POST", f"{job.metric}/batch", content)

    assert status == 400
    assert message in answer["error"]["message"]
    assert job.counts() == {}


def test_a_metric_over_the_limits_is_refused_and_the_others_are_stored(job: Job) -> None:
    script = """
run.log("good", 1.0)
run.log("n" * 256, 1.0)
run.log("value", "v" * 256)
run.log_row("columns", **{f"c{number}": 1.0 for number in range(16)})
run.log_row("column", **{"c" * 256: 1.0})
run.complete()
"""

    status, _, error = job.tries(script)

    assert status == 0
    assert job.counts() == {"good": 1}
    assert set(job.statuses("/batch")) == {207}
    for complaint in (
        "the metric's name has 256 characters; 1 to 255 are possible",
        "a value has more than 255 characters",
        "the metric has more than 15 columns",
        "the name of a column has more than 255 characters",
    ):
        assert error.count(complaint) == 1


def test_what_is_just_within_the_limits_is_stored(job: Job) -> None:
    just = batch("n" * 255, rows=250, columns=1)
    wide = batch("wide", columns=15, value="v" * 255)

    assert job.ask("POST", f"{job.metric}/batch", just) == (200, {})
    assert job.ask("POST", f"{job.metric}/batch", wide) == (200, {})


def test_a_run_has_fifty_metric_names(job: Job) -> None:
    names = [f"m{number}" for number in range(51)]

    status, answer = job.ask("POST", f"{job.metric}/batch", batch(*names))
    again = job.ask("POST", f"{job.metric}/batch", batch("m0"))

    assert status == 207
    assert [error["metric"]["name"] for error in answer["errors"]] == ["m50"]
    assert answer["errors"][0]["errorResponse"]["error"]["details"] == []
    assert len(job.counts()) == 50
    assert again == (200, {})


@pytest.mark.parametrize("what", ["tags", "properties"])
def test_a_run_has_fifty_tags_and_properties_of_limited_length(job: Job, what: str) -> None:
    def status(labels: dict[str, str]) -> int:
        return job.ask("PATCH", job.history, {what: labels})[0]

    assert status({f"k{number}": "v" for number in range(49)} | {"k" * 100: "v" * 1000}) == 200
    assert status({"k0": "other"}) == 200
    assert status({"one more": "v"}) == 400
    assert status({"k0": "v" * 1001}) == 400
    assert status({"k" * 101: "v"}) == 400
    kept = getattr(job.service.run(job.run_id), what)
    assert len(kept) == 50
    assert kept["k0"] == "other"


def test_an_artefact_is_uploaded_once_only(job: Job) -> None:
    script = """
pathlib.Path("f.txt").write_text("first")
run.upload_file("outputs/last.ckpt", "f.txt")
pathlib.Path("f.txt").write_text("second")
try:
    run.upload_file("outputs/last.ckpt", "f.txt")
except Exception as error:
    print(error)
"""

    out = job.does(script)

    assert f"Resource Conflict: ArtifactId ExperimentRun/dcid.{job.run_id}/outputs/last.ckpt already exists." in out
    assert job.service.run(job.run_id).artifacts == {"outputs/last.ckpt": b"first"}


def test_many_artefacts_are_listed_in_pages(job: Job) -> None:
    names = [f"f{number:03}" for number in range(101)]
    job.ask("POST", job.artifact, {"paths": [{"path": name} for name in names]})

    out = job.does("print(*run.get_file_names())")

    assert out.split() == names


def test_the_path_of_an_artefact_has_a_limit(job: Job) -> None:
    paths = [{"path": "p" * length} for length in (5000, 5001)]

    status, answer = job.ask("POST", job.artifact, {"paths": paths})

    assert status == 200
    assert list(answer["artifacts"]) == ["p" * 5000]
    assert list(answer["errors"]) == ["p" * 5001]


def test_an_artefact_whose_name_has_to_be_encoded_goes_astray(job: Job) -> None:
    script = """
pathlib.Path("f.txt").touch()
try:
    run.upload_file("a b.txt", "f.txt")
except Exception as error:
    print(error)
"""

    out = job.does(script)

    assert "azureml-core uploads to a wrong one" in out
    assert job.service.run(job.run_id).artifacts == {}


def test_a_large_file_goes_in_blocks_and_comes_back_in_ranges(job: Job) -> None:
    script = """
import os
size = 68 * 2**20
with open("large", "wb") as file:
    file.write(b"begin")
    file.truncate(size)
    file.seek(size - 3)
    file.write(b"end")
run.upload_file("large", "large")
run.download_file("large", "back")
back = pathlib.Path("back")
print(back.stat().st_size == size and back.read_bytes() == pathlib.Path("large").read_bytes())
"""

    assert job.does(script).split() == ["True"]
    assert job.statuses("/large")[-2:] == [206, 206]
    content = job.service.run(job.run_id).artifacts["large"]
    assert (content[:5], content[-3:], len(content)) == (b"begin", b"end", 68 * 2**20)


def test_a_slow_service_answers_late(job: Job) -> None:
    job.service.order(Fault.slow(0.5, path="/metric/"))

    job.does("run.log('loss', 1.0)\nrun.complete()")

    slow = [request for request in job.service.requests if request.seconds >= 0.5]
    assert [request.path for request in slow] == [f"{job.metric}/batch"]
    assert job.counts() == {"loss": 1}


def test_a_status_is_answered_as_often_as_it_was_ordered(job: Job) -> None:
    job.service.order(Fault.status(500, path="/metric/", times=1))
    job.service.order(Fault.status(429, path="/metric/", times=1, retry_after=1))

    job.does("run.log('loss', 1.0)\nrun.complete()", AZUREML_DEFAULT_BACKOFF="1", AZUREML_DEFAULT_500_BACKOFF="1")

    assert job.statuses("/batch") == [500, 429, 200]
    assert job.counts() == {"loss": 1}


def test_a_permanent_failure_ends_when_it_is_cleared(job: Job) -> None:
    job.service.order(Fault.status(503))

    refused = [job.ask("GET", path)[0] for path in (job.history, "/discovery/workspaces/x")]
    job.service.clear_faults()

    assert refused == [503, 503]
    assert job.ask("GET", job.history)[0] == 200


@pytest.mark.parametrize(("handled", "rows"), [(False, 1), (True, 2)])
def test_a_dropped_request_is_repeated_by_the_client(job: Job, handled: bool, rows: int) -> None:
    job.service.order(Fault.drop(path="/metric/", handled=handled, times=1))

    job.does("run.log('loss', 1.0)\nrun.complete()")

    stored = job.service.run(job.run_id).metrics["loss"]
    assert job.statuses("/batch") == [None, 200]
    assert len({row.metric_id for row in stored}) == 1
    assert len(stored) == rows


def test_coins_fall_the_same_way_with_the_same_seed(job: Job) -> None:
    def lost() -> list[bool]:
        job.service.order(Fault.drop(path="/metric/", probability=0.5, seed=3, handled=None))
        outcomes = [is_lost(job, f"{job.metric}/list") for _ in range(20)]
        job.service.clear_faults()
        return outcomes

    first = lost()

    assert first == lost()
    assert set(first) == {True, False}


def test_a_dropped_request_is_carried_out_or_not_as_the_coin_falls(job: Job) -> None:
    job.service.order(Fault.drop(path="/batch", handled=None))

    for number in range(20):
        assert is_lost(job, f"{job.metric}/batch", batch(f"m{number}"))

    assert 0 < len(job.counts()) < 20


def is_lost(job: Job, path: str, content: Any = None) -> bool:
    try:
        job.ask("POST", path, content or {})
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize(("handled", "tags"), [(False, {}), (True, {"k": "v"})])
def test_a_silent_service_keeps_a_request_waiting_until_faults_are_cleared(
    job: Job, handled: bool, tags: dict[str, str]
) -> None:
    with job.start("print('ready', flush=True)\nsys.stdin.readline()\nrun.tag('k', 'v')") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        job.service.order(Fault.silence(handled=handled))
        process.stdin.write("go\n")
        process.stdin.flush()
        wait_for(lambda: None in job.statuses("/runs/"))
        time.sleep(0.3)

        silent = process.poll() is None
        during = job.service.run(job.run_id).tags
        job.service.clear_faults()

        _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert silent
    assert during == tags
    assert job.service.run(job.run_id).tags == {"k": "v"}


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_service_that_keeps_silent_stops_at_once(job: Job) -> None:
    job.service.order(Fault.silence())
    connections = [http.client.HTTPConnection("127.0.0.1", job.service.port, timeout=20) for _ in range(3)]
    for connection in connections[:2]:
        connection.request("GET", job.history)
    connections[2].connect()
    wait_for(lambda: len(job.service.requests) == 2)
    began = time.monotonic()

    job.service.stop()

    assert time.monotonic() - began < 1
    for connection in connections:
        assert connection.sock.recv(1) == b""
        connection.close()


def test_a_rejected_metric_is_reported_and_the_others_are_stored(job: Job) -> None:
    job.service.order(Fault.reject_metric("val_loss"))

    _, _, error = job.tries("run.log('val_loss', 1.0)\nrun.log('train_loss', 1.0)\nrun.complete()")

    assert "Failed to post metric with name val_loss" in error
    assert job.counts() == {"train_loss": 1}


def test_a_service_that_comes_back_has_its_port_and_knows_what_it_knew(service: AzureMLService, job: Job) -> None:
    script = """
run.tag("before", "1")
run.upload_file("first", json.__file__)
print("ready", flush=True)
sys.stdin.readline()
run.tag("after", "2")
run.upload_file("second", json.__file__)
"""
    with job.start(script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        port = service.port
        service.stop()
        with pytest.raises(ConnectionRefusedError):
            job.ask("GET", job.history)
        service.start()
        _, error = process.communicate("\n", timeout=60)

    assert process.returncode == 0, error
    assert service.port == port
    assert service.run(job.run_id).tags == {"before": "1", "after": "2"}
    assert list(service.run(job.run_id).artifacts) == ["first", "second"]


def test_faults_and_state_can_be_had_over_http(job: Job) -> None:
    service = job.service
    job.ask("POST", f"{job.metric}/batch", batch("loss"))

    ordered = ask(service, "POST", "/rehearsal/faults", {"kind": "status", "code": 503, "path": "/metric/"})
    refused = job.ask("POST", f"{job.metric}/list", {})
    cleared = ask(service, "DELETE", "/rehearsal/faults", None)
    state = ask(service, "GET", "/rehearsal/state", None)[1]
    rows = ask(service, "GET", f"/rehearsal/runs/{job.run_id}/metrics", None)[1]

    assert (ordered, refused[0], cleared) == ((200, {}), 503, (200, {}))
    assert state["runs"][job.run_id]["metrics"] == {"loss": 1}
    assert state["unknown"] == []
    assert [row["data"] for row in rows["loss"]] == [{"loss": 1.0}]
    assert ask(service, "GET", "/rehearsal/runs/other/metrics", None)[0] == 404


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"kind": "sloow"}, 'expected {"kind": KIND, ...} with KIND one of slow, status, drop, silence, reject_metric'),
        ({"kind": "slow"}, "missing 1 required positional argument: 'seconds'; expected seconds: float, path: str"),
        ({"kind": "slow", "seconds": "x"}, "slow: seconds is 'x'; expected seconds: float"),
        ({"kind": "drop", "prob": 1}, "unexpected keyword argument 'prob'; expected path: str = '', probability"),
        ({"kind": "drop", "probability": 30}, "drop: probability is 30; it is from 0 to 1"),
        ({"kind": "status", "code": 200}, "status: code is 200; that of a failure is from 400 to 599"),
        ([], 'expected {"kind": KIND, ...}'),
        (b"{", "the body isn't valid JSON"),
    ],
)
def test_a_wrong_fault_is_answered_with_what_was_expected(service: AzureMLService, order: Any, message: str) -> None:
    status, answer = ask(service, "POST", "/rehearsal/faults", order)

    assert status == 400
    assert message in answer["error"]["message"]


def test_the_command_tells_a_shell_what_makes_it_a_job(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "submit.rehearsal", "--experiment", "my exp"]
    with running(command, ROOT) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        exports = "".join(process.stdout.readline() for _ in range(19))
        job = f"{first}{exports}'{sys.executable}' -c \"$SCRIPT\""
        script = f"{GET_CONTEXT}run.log('loss', 1.0); run.complete(); print(run.id, run.experiment.name)"
        done = subprocess.run(
            ["/bin/sh", "-c", job], env={"SCRIPT": script}, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        process.terminate()  # an interrupt isn't heard by what was started from a job in the background
        rest, log = process.communicate(timeout=20)

    assert first.startswith("# A rehearsal of Azure ML listens on http://127.0.0.1:")
    assert all(line.startswith("export ") for line in exports.splitlines())
    assert rest == ""
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" my exp\n")
    assert "200 POST /metric/v2.0/" in log
    assert process.returncode == 0


def test_the_command_says_where_it_cannot_listen(service: AzureMLService) -> None:
    command = [sys.executable, "-m", "submit.rehearsal", "--port", str(service.port)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --port {service.port}: can't listen there (")
    assert len(done.stderr.splitlines()) == 1
