"""Files of runs brought here: whole, verified, and after interruptions no further than needed."""

import json
import signal
import time
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator, Fault
from tests.support.commands import Outcome
from tests.support.hostile_names import TOO_LONG
from tests.support.submitters import Submitter, outcome_of

pytestmark = pytest.mark.slow

BEST = "outputs/checkpoints/best.ckpt"
LAST = "outputs/checkpoints/last.ckpt"
LOG = "user_logs/std_log_process_0.txt"
LARGE = bytes(range(256)) * (20 * 2**12)  # three pieces


@pytest.fixture
def submitter(service: AzureMLEmulator, tmp_path: Path) -> Submitter:
    return Submitter(service, tmp_path).with_training()


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def reads(service: AzureMLEmulator, path: str) -> int:
    return sum(
        request.method == "GET" and request.path.endswith(f".net/azureml/{path}") for request in service.requests
    )


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("checkpoints", {BEST, "outputs/config.yaml"}),
        ("outputs", {BEST, "outputs/config.yaml", "outputs/empty"}),
        ("logs", {LOG}),
    ],
)
def test_what_is_asked_for_comes_and_nothing_else(submitter: Submitter, what: str, expected: set[str]) -> None:
    there = {BEST: b"best", "outputs/config.yaml": b"a: 1", "outputs/empty": b"", LOG: b"line"}
    run = submitter.add_run(there)

    done = submitter.submit("download", run, "--what", what, "--json")

    assert (done.status, done.err) == (0, "")
    assert files(submitter.folder / run) == {path: there[path] for path in expected}
    assert {file["path"]: file["size"] for file in json.loads(done.out)["files"]} == {
        path: len(there[path]) for path in expected
    }


def test_checkpoints_are_those_of_the_last_attempt_whatever_the_output_dir(submitter: Submitter) -> None:
    first, second, other = (
        {f"outputs/{folder}checkpoints/last.ckpt", f"outputs/{folder}config.yaml"}
        for folder in ("", "retry_001/", "mine/")
    )
    earlier = {"outputs/mine/previous/1/checkpoints/last.ckpt"}
    run = submitter.add_run(dict.fromkeys(first | second | other | earlier, b"content"))

    done = submitter.submit("download", run, "--what", "checkpoints")

    assert (done.status, done.err) == (0, "")
    assert files(submitter.folder / run).keys() == second | other


def test_a_second_download_brings_only_what_is_missing_or_wrong(submitter: Submitter) -> None:
    run = submitter.add_run({BEST: b"best", LAST: b"last"})
    first = submitter.submit("download", run, "--target", "here")
    (submitter.folder / "here" / BEST).write_bytes(b"bEst")
    before = [reads(submitter.service, f"ExperimentRun/dcid.{run}/{path}") for path in (BEST, LAST)]

    second = submitter.submit("download", run, "--target", "here")

    after = [reads(submitter.service, f"ExperimentRun/dcid.{run}/{path}") for path in (BEST, LAST)]
    assert first.out.splitlines() == [f"here/{BEST}: 4 bytes", f"here/{LAST}: 4 bytes"]
    assert second.out.splitlines() == [f"here/{BEST}: 4 bytes", f"here/{LAST}: 4 bytes, existed"]
    assert (before, after) == ([1, 1], [2, 1])
    assert files(submitter.folder / "here") == {BEST: b"best", LAST: b"last"}


def test_an_interrupted_download_goes_on_where_it_was(submitter: Submitter) -> None:
    run = submitter.add_run({BEST: LARGE})
    path = f"ExperimentRun/dcid.{run}/{BEST}"
    submitter.service.inject(Fault.slow(0.5, path))

    interrupted = interrupted_download(submitter, run)
    left = files(submitter.folder / run)
    submitter.service.clear_faults()
    time.sleep(0.5)  # until the request that was interrupted is on the list
    before = reads(submitter.service, path)
    done = submitter.submit("download", run)

    assert (interrupted.status, interrupted.out) == (130, "")
    assert interrupted.err == "interrupted; the same command continues\n"
    assert [name.endswith(".part") for name in left] == [True]
    pieces_left = 3 - len(next(iter(left.values()))) // (8 * 2**20)
    assert (done.status, done.out) == (0, f"{run}/{BEST}: {len(LARGE):,} bytes\n")
    assert reads(submitter.service, path) - before == pieces_left < 3
    assert files(submitter.folder / run) == {BEST: LARGE}


def interrupted_download(submitter: Submitter, run: str) -> Outcome:
    """Interrupted when one piece is here."""
    with submitter.running("download", run) as process:
        deadline = time.monotonic() + 30
        while not any(files(submitter.folder / run).values()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        return outcome_of(process, 5)


def test_pieces_of_a_file_that_has_changed_are_thrown_away(submitter: Submitter) -> None:
    run = submitter.add_run({BEST: LARGE})
    submitter.service.inject(Fault.slow(0.5, BEST))
    interrupted_download(submitter, run)
    submitter.service.clear_faults()
    changed = LARGE[::-1] + b"more"
    submitter.service.add_artifact(run, BEST, changed)

    done = submitter.submit("download", run)

    assert done.status == 0
    assert files(submitter.folder / run) == {BEST: changed}


def test_a_download_goes_on_though_connections_drop(submitter: Submitter) -> None:
    run = submitter.add_run({BEST: LARGE, LAST: LARGE, LOG: b"line"})
    submitter.service.inject(Fault.drop(".ckpt", probability=0.2, seed=3))
    submitter.service.inject(Fault.status(503, LAST, times=2))

    done = submitter.submit("download", run, "--what", "checkpoints")

    assert done.status == 0
    assert files(submitter.folder / run) == {BEST: LARGE, LAST: LARGE}


def test_a_file_that_never_comes_right_is_reported_and_does_not_stay(submitter: Submitter) -> None:
    """It was replaced while it came, so that its pieces are from two files."""
    run = submitter.add_run({BEST: LARGE})
    submitter.service.inject(Fault.slow(0.5, BEST))

    with submitter.running("download", run) as process:
        deadline = time.monotonic() + 30
        while not any(files(submitter.folder / run).values()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        submitter.service.add_artifact(run, BEST, LARGE[::-1])
        done = outcome_of(process)

    message = f"error: {BEST}: the download is damaged; run the command again\n"
    assert (done.status, done.out, done.err) == (1, "", message)
    assert files(submitter.folder / run) == {}


@pytest.mark.parametrize(
    "name", ["../../out", "a/../../../out", "/etc/out", "a//b", "a\0b", TOO_LONG, "checkpoints/../../../out"]
)
def test_a_file_whose_name_leads_out_of_the_folder_is_not_written(submitter: Submitter, name: str) -> None:
    run = submitter.add_run({BEST: b"best", f"outputs/{name}": b"hostile"})
    before = files(submitter.folder)

    done = submitter.submit("download", run, "--what", "outputs", "--target", "here")

    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("error: the run has a file that can't be written to 'here': 'outputs/")
    assert {path for path in files(submitter.folder) if not path.startswith("home/")} <= before.keys()
    assert not (submitter.folder / "here").exists()


def test_a_refusal_is_reported_without_the_signature_of_the_address(submitter: Submitter) -> None:
    run = submitter.add_run({BEST: b"best"})
    submitter.service.inject(Fault.status(403, ".net/azureml/"))

    done = submitter.submit("download", run)

    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith(f"error: {BEST}: 403 ")
    assert "sig=" not in done.err


def test_a_run_without_such_files_is_reported(submitter: Submitter) -> None:
    run = submitter.add_run({LOG: b"line"})

    done = submitter.submit("download", run)

    assert (done.status, done.err) == (2, f"error: run {run} has no outputs; it has {LOG}\n")
    assert not (submitter.folder / run).exists()
