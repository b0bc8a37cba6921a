"""Fault injection of the emulator."""

import http.client
import time
from collections.abc import Callable
from typing import Any

import pytest

from submit.emulator import AzureMLEmulator, Fault
from tests.support.emulator_jobs import Job, ask, batch


def test_a_slow_service_responds_late(job: Job) -> None:
    job.service.inject(Fault.slow(0.5, path="/metric/"))

    job.does("run.log('loss', 1.0)\nrun.complete()")

    slow = [request for request in job.service.requests if request.seconds >= 0.5]
    assert [request.path for request in slow] == [f"{job.metric}/batch"]
    assert job.counts() == {"loss": 1}


def test_a_status_is_returned_as_often_as_the_fault_says(job: Job) -> None:
    job.service.inject(Fault.status(500, path="/metric/", times=1))
    job.service.inject(Fault.status(429, path="/metric/", times=1, retry_after=1))

    job.does("run.log('loss', 1.0)\nrun.complete()", AZUREML_DEFAULT_BACKOFF="1", AZUREML_DEFAULT_500_BACKOFF="1")

    assert job.statuses("/batch") == [500, 429, 200]
    assert job.counts() == {"loss": 1}


def test_a_permanent_failure_ends_when_it_is_cleared(job: Job) -> None:
    job.service.inject(Fault.status(503))

    refused = [job.ask("GET", path)[0] for path in (job.history, "/discovery/workspaces/x")]
    job.service.clear_faults()

    assert refused == [503, 503]
    assert job.ask("GET", job.history)[0] == 200


@pytest.mark.parametrize(("handled", "rows"), [(False, 1), (True, 2)])
def test_a_dropped_request_is_repeated_by_the_client(job: Job, handled: bool, rows: int) -> None:
    job.service.inject(Fault.drop(path="/metric/", handled=handled, times=1))

    job.does("run.log('loss', 1.0)\nrun.complete()")

    stored = job.service.run(job.run_id).metrics["loss"]
    assert job.statuses("/batch") == [None, 200]
    assert len({row.metric_id for row in stored}) == 1
    assert len(stored) == rows


def test_random_faults_repeat_with_the_same_seed(job: Job) -> None:
    def lost() -> list[bool]:
        job.service.inject(Fault.drop(path="/metric/", probability=0.5, seed=3, handled=None))
        outcomes = [is_lost(job, f"{job.metric}/list") for _ in range(20)]
        job.service.clear_faults()
        return outcomes

    first = lost()

    assert first == lost()
    assert set(first) == {True, False}


def test_a_dropped_request_is_handled_or_not_at_random(job: Job) -> None:
    job.service.inject(Fault.drop(path="/batch", handled=None))

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
        job.service.inject(Fault.silence(handled=handled))
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


def test_an_emulator_that_does_not_respond_stops_at_once(job: Job) -> None:
    job.service.inject(Fault.silence())
    connections = [http.client.HTTPConnection("127.0.0.1", job.service.port, timeout=20) for _ in range(3)]
    for connection in connections[:2]:
        connection.request("GET", job.history)
    connections[2].connect()
    wait_for(lambda: len(job.service.requests) == 2)

    job.service.stop()

    for connection in connections:
        assert connection.sock.recv(1) == b""
        connection.close()


def test_a_rejected_metric_is_reported_and_the_others_are_stored(job: Job) -> None:
    job.service.inject(Fault.reject_metric("val_loss"))

    _, _, error = job.tries("run.log('val_loss', 1.0)\nrun.log('train_loss', 1.0)\nrun.complete()")

    assert "Failed to post metric with name val_loss" in error
    assert job.counts() == {"train_loss": 1}


def test_a_restarted_emulator_has_its_port_and_its_state(service: AzureMLEmulator, job: Job) -> None:
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


def test_faults_and_state_are_available_over_http(job: Job) -> None:
    service = job.service
    job.ask("POST", f"{job.metric}/batch", batch("loss"))

    ordered = ask(service, "POST", "/emulator/faults", {"kind": "status", "code": 503, "path": "/metric/"})
    refused = job.ask("POST", f"{job.metric}/list", {})
    cleared = ask(service, "DELETE", "/emulator/faults", None)
    state = ask(service, "GET", "/emulator/state", None)[1]
    rows = ask(service, "GET", f"/emulator/runs/{job.run_id}/metrics", None)[1]

    assert (ordered, refused[0], cleared) == ((200, {}), 503, (200, {}))
    assert state["runs"][job.run_id]["metrics"] == {"loss": 1}
    assert state["unknown"] == []
    assert [row["data"] for row in rows["loss"]] == [{"loss": 1.0}]
    assert ask(service, "GET", "/emulator/runs/other/metrics", None)[0] == 404


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
def test_the_error_for_a_wrong_fault_says_what_is_expected(service: AzureMLEmulator, order: Any, message: str) -> None:
    status, answer = ask(service, "POST", "/emulator/faults", order)

    assert status == 400
    assert message in answer["error"]["message"]
