"""Logs of runs, and runs that are awaited, while connections drop and users have enough."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator, Fault
from tests.support.commands import Outcome
from tests.support.submitters import Submitter, outcome_of

pytestmark = pytest.mark.slow

LOG = "user_logs/std_log_process_0.txt"


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    return Submitter(service, tmp_path).with_training()


def until(condition: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def requests(service: AzureMLEmulator, path: str) -> int:
    return sum(path in request.path for request in service.requests)


def text(count: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(count))


def interrupt_after(process: "subprocess.Popen[str]", last: str) -> Outcome:
    """Presses Ctrl-C when the command has printed a line that ends so; it is text of a pipe, read in one way only."""
    assert process.stdout is not None
    assert process.stderr is not None
    shown = [process.stdout.readline()]
    while not shown[-1].endswith(f"{last}\n"):
        assert shown[-1], process.stderr.read()
        shown.append(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    out, err = process.stdout.read(), process.stderr.read()
    return Outcome(process.wait(), "".join(shown) + out, err)


def test_logs_shows_what_rank_0_printed_and_others_by_name(submitter: Submitter) -> None:
    other = "user_logs/std_log_process_1.txt"
    events = "logs/run/events.out.tfevents.1764400000.node.1.0"  # of TensorBoard, which is no text
    files = {LOG: b"zero\nno newline", other: b"one\n", "outputs/metrics.jsonl": b"{}", events: b"\x18\x00\xff"}
    run = submitter.add_run(files)

    first, named, names = (
        submitter.submit("logs", run, *flags) for flags in ([], ["--file", "std_log_process_1.txt"], ["--list"])
    )

    assert (first.status, first.out, first.err) == (0, "zero\nno newline\n", "")
    assert (named.status, named.out) == (0, "one\n")
    assert names.out.splitlines() == [LOG, other]


def test_logs_of_many_ranks_are_found_by_their_zeros(submitter: Submitter) -> None:
    names = [f"user_logs/std_log_process_{rank:02}.txt" for rank in range(12)]
    run = submitter.add_run({name: name.encode() for name in names[::-1]})

    assert submitter.submit("logs", run).out == f"{names[0]}\n"


def test_all_logs_are_named_however_many_there_are(submitter: Submitter) -> None:
    """The service names a hundred files at a time."""
    names = [f"user_logs/std_log_process_{rank:03}.txt" for rank in range(250)]
    run = submitter.add_run(dict.fromkeys(names, b""))

    assert submitter.submit("logs", run, "--list").out.splitlines() == names


def test_a_log_that_is_not_there_is_reported(submitter: Submitter) -> None:
    run = submitter.add_run({})

    none, named = submitter.submit("logs", run), submitter.submit("logs", run, "--file", "a.txt")

    assert (none.status, none.err) == (1, f"error: run {run} has no log yet\n")
    assert (named.status, named.err) == (2, "error: --file 'a.txt': expected one of none: the run has no log yet\n")


def test_follow_shows_every_line_once_though_connections_drop(submitter: Submitter) -> None:
    run = submitter.add_run({LOG: text(3) + b"line"}, "Running")
    submitter.service.inject(Fault.drop(run, probability=0.2, seed=1))

    with submitter.running("logs", run, "--follow") as process:
        until(lambda: requests(submitter.service, LOG) >= 3)
        submitter.service.add_artifact(run, LOG, text(2000) + b"line")
        until(lambda: requests(submitter.service, LOG) >= 6)
        submitter.service.inject(Fault.status(503, LOG, times=2))
        submitter.service.inject(Fault.status(403, f".net/azureml/ExperimentRun/dcid.{run}", times=1))  # it has expired
        submitter.service.add_artifact(run, LOG, text(5000) + b"the end")
        submitter.service.set_run_status(run, "Completed")
        done = outcome_of(process)

    assert (done.status, done.out) == (0, text(5000).decode() + "the end\n")
    assert done.err.splitlines()[-1] == "The run has ended: Completed."


def test_a_closed_pipe_ends_the_command_quietly(submitter: Submitter) -> None:
    run = submitter.add_run({LOG: text(100000)})

    with submitter.running("logs", run) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()

    assert (first, err) == ("line 0\n", "")


def test_follow_ends_when_the_user_has_enough(submitter: Submitter) -> None:
    run = submitter.add_run({LOG: text(3)}, "Running")

    with submitter.running("logs", run, "--follow") as process:
        done = interrupt_after(process, "line 2")

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
    submitter: Submitter, status: str, error: str | None, expected: int, last: str
) -> None:
    with submitter.running(*submitter.run_arguments("--wait")) as process:
        until(lambda: submitter.service.jobs)
        run = submitter.service.jobs[-1].run_id
        until(lambda: requests(submitter.service, f"runs/{run}") >= 4)
        submitter.service.set_run_status(run, "Running")
        submitter.service.add_artifact(run, LOG, text(3))
        until(lambda: requests(submitter.service, LOG) >= 2)
        submitter.service.add_artifact(run, LOG, text(4))
        submitter.service.set_run_status(run, status, error)
        done = outcome_of(process)

    first, portal, queued, running, *log, end = done.out.splitlines()
    assert (done.status, done.problems) == (expected, "")
    assert (first, portal[:4], log) == (f"Run {run}", "http", text(4).decode().splitlines())
    assert [line.split()[1].rstrip(":") for line in (queued, running, end)] == ["Queued", "Running", status]
    assert last in end


def test_waiting_survives_a_service_that_fails(submitter: Submitter) -> None:
    with submitter.running(*submitter.run_arguments("--wait")) as process:
        until(lambda: submitter.service.jobs)
        run = submitter.service.jobs[-1].run_id
        until(lambda: requests(submitter.service, f"runs/{run}") >= 4)
        submitter.service.add_artifact(run, LOG, text(3))
        submitter.service.stop()
        time.sleep(2)
        submitter.service.start()
        submitter.service.inject(Fault.status(500, f"runs/{run}", times=2))
        submitter.service.inject(Fault.drop(LOG, times=3))
        submitter.service.set_run_status(run, "Completed")
        done = outcome_of(process)

    assert done.status == 0
    assert [line for line in done.out.splitlines() if line.startswith("line")] == text(3).decode().splitlines()


def test_who_is_done_waiting_is_reported_how_to_go_on(submitter: Submitter) -> None:
    with submitter.running(*submitter.run_arguments("--wait")) as process:
        until(lambda: submitter.service.jobs)
        run = submitter.service.jobs[-1].run_id
        done = interrupt_after(process, "Queued")

    message = f"interrupted; the run continues; python -m submit logs {run} --follow shows it again\n"
    assert (done.status, done.problems) == (130, message)
    assert submitter.service.run(run).status == "Queued"
