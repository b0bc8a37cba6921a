"""Metrics and tags at the emulator, with the limits of the service."""

import http.client
import json
from typing import Any

import pytest

from submit.emulator import AzureMLEmulator
from tests.support.emulator_jobs import Job, batch, job

__all__ = ["job"]  # the fixture


def test_rows_are_read_in_pages_and_by_time(service: AzureMLEmulator, job: Job) -> None:
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


def test_a_row_that_was_posted_twice_is_stored_twice(job: Job) -> None:
    sent = batch("loss")

    for _ in range(2):
        job.ask("POST", f"{job.metric}/batch", sent)

    rows = job.service.run(job.run_id).metrics["loss"]
    assert len(rows) == 2
    assert rows[0] == rows[1]


def test_four_hundred_full_batches_are_stored(job: Job) -> None:
    body = json.dumps(batch("loss", rows=250)).encode()
    headers = {"Authorization": f"Bearer {job.environment['AZUREML_RUN_TOKEN']}"}
    connection = http.client.HTTPConnection("127.0.0.1", job.service.port)

    for _ in range(400):
        connection.request("POST", f"{job.metric}/batch", body, headers)
        assert connection.getresponse().read() == b"{}"

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
