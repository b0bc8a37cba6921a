"""Logs of runs, and runs that are awaited, while connections drop and users have enough."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator, Fault
from tests.support.submit_folders import Place, outcome

pytestmark = pytest.mark.slow

LOG = "user_logs/std_log_process_0.txt"


@pytest.fixture
def place(service: AzureMLEmulator, tmp_path: Path) -> Place:
    return Place(service, tmp_path).prepare()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def requests(service: AzureMLEmulator, path: str) -> int:
    return sum(path in request.path for request in service.requests)


def text(count: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(count))


def interrupt(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)


def test_logs_shows_what_rank_0_printed_and_others_by_name(place: Place) -> None:
    other = "user_logs/std_log_process_1.txt"
    run = place.run({LOG: b"zero\nno newline", other: b"one\n", "outputs/metrics.jsonl": b"{}"})

    first, named, names = (
        place.submit("logs", run, *flags) for flags in ([], ["--file", "std_log_process_1.txt"], ["--list"])
    )

    assert (first.status, first.out, first.err) == (0, "zero\nno newline\n", "")
    assert (named.status, named.out) == (0, "one\n")
    assert names.out.splitlines() == [LOG, other]


def test_logs_of_many_ranks_are_found_by_their_zeros(place: Place) -> None:
    names = [f"user_logs/std_log_process_{rank:02}.txt" for rank in range(12)]
    run = place.run({name: name.encode() for name in names[::-1]})

    assert place.submit("logs", run).out == f"{names[0]}\n"


def test_all_logs_are_named_however_many_there_are(place: Place) -> None:
    """The service names a hundred files at a time."""
    names = [f"user_logs/std_log_process_{rank:03}.txt" for rank in range(250)]
    run = place.run(dict.fromkeys(names, b""))

    assert place.submit("logs", run, "--list").out.splitlines() == names


def test_a_log_that_is_not_there_is_told(place: Place) -> None:
    run = place.run({})

    none, named = place.submit("logs", run), place.submit("logs", run, "--file", "a.txt")

    assert (none.status, none.err) == (1, f"error: run {run} has no log yet\n")
    assert (named.status, named.err) == (2, "error: --file 'a.txt': expected one of none: the run has no log yet\n")


def test_follow_shows_every_line_once_though_connections_drop(place: Place) -> None:
    run = place.run({LOG: text(3) + b"line"}, "Running")
    place.service.inject(Fault.drop(run, probability=0.2, seed=1))

    with place.started("logs", run, "--follow") as process:
        until(lambda: requests(place.service, LOG) >= 3)
        place.service.add_artifact(run, LOG, text(2000) + b"line")
        until(lambda: requests(place.service, LOG) >= 6)
        place.service.inject(Fault.status(503, LOG, times=2))
        place.service.inject(Fault.status(403, f".net/azureml/ExperimentRun/dcid.{run}", times=1))  # it has expired
        place.service.add_artifact(run, LOG, text(5000) + b"the end")
        place.service.set_run_status(run, "Completed")
        done = outcome(process)

    assert (done.status, done.out) == (0, text(5000).decode() + "the end\n")
    assert done.err.splitlines()[-1] == "The run has ended: Completed."


def test_who_reads_only_the_first_lines_is_told_nothing_else(place: Place) -> None:
    run = place.run({LOG: text(100000)})

    with place.started("logs", run) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()

    assert (first, err) == ("line 0\n", "")


def test_follow_ends_when_the_user_has_enough(place: Place) -> None:
    run = place.run({LOG: text(3)}, "Running")

    with place.started("logs", run, "--follow") as process:
        until(lambda: requests(place.service, LOG) >= 2)
        interrupt(process)
        done = outcome(process, 5)

    assert (done.status, done.out, done.err) == (130, text(3).decode(), "interrupted; nothing was changed\n")


@pytest.mark.parametrize(
    ("status", "error", "expected", "last"),
    [
        ("Completed", None, 0, "Completed after 0:00:0"),
        ("Failed", "rank 1 ran out of memory", 1, ": rank 1 ran out of memory"),
        ("Canceled", None, 3, "Canceled after 0:00:0"),
    ],
)
def test_waiting_is_as_long_and_ends_like_the_run(
    place: Place, status: str, error: str | None, expected: int, last: str
) -> None:
    with place.started(*place.sending("--wait")) as process:
        until(lambda: place.service.jobs)
        run = place.service.jobs[-1].run_id
        until(lambda: requests(place.service, f"runs/{run}") >= 4)
        place.service.set_run_status(run, "Running")
        place.service.add_artifact(run, LOG, text(3))
        until(lambda: requests(place.service, LOG) >= 2)
        place.service.add_artifact(run, LOG, text(4))
        place.service.set_run_status(run, status, error)
        done = outcome(process)

    first, portal, queued, running, *log, end = done.out.splitlines()
    assert (done.status, done.err) == (expected, "")
    assert (first, portal[:4], log) == (f"Run {run}", "http", text(4).decode().splitlines())
    assert [line.split()[1].rstrip(":") for line in (queued, running, end)] == ["Queued", "Running", status]
    assert last in end


def test_waiting_survives_a_service_that_fails(place: Place) -> None:
    with place.started(*place.sending("--wait")) as process:
        until(lambda: place.service.jobs)
        run = place.service.jobs[-1].run_id
        until(lambda: requests(place.service, f"runs/{run}") >= 4)
        place.service.add_artifact(run, LOG, text(3))
        place.service.stop()
        time.sleep(2)
        place.service.start()
        place.service.inject(Fault.status(500, f"runs/{run}", times=2))
        place.service.inject(Fault.drop(LOG, times=3))
        place.service.set_run_status(run, "Completed")
        done = outcome(process)

    assert done.status == 0
    assert [line for line in done.out.splitlines() if line.startswith("line")] == text(3).decode().splitlines()


def test_who_is_done_waiting_is_told_how_to_go_on(place: Place) -> None:
    with place.started(*place.sending("--wait")) as process:
        until(lambda: place.service.jobs)
        run = place.service.jobs[-1].run_id
        until(lambda: requests(place.service, f"runs/{run}") >= 5)
        interrupt(process)
        done = outcome(process, 5)

    message = f"interrupted; the run goes on; python -m submit logs {run} --follow shows it again\n"
    assert (done.status, done.err) == (130, message)
    assert place.service.run(run).status == "Queued"
