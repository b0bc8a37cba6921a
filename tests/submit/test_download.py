"""Files of runs brought here: whole, verified, and after interruptions no further than needed."""

import json
import signal
import time
from pathlib import Path

import pytest

from submit.emulator import AzureMLEmulator, Fault
from tests.support.commands import Outcome
from tests.support.submit_folders import Place, outcome

pytestmark = pytest.mark.slow

BEST = "outputs/checkpoints/best.ckpt"
LAST = "outputs/checkpoints/last.ckpt"
LOG = "user_logs/std_log_process_0.txt"
LARGE = bytes(range(256)) * (20 * 2**12)  # three pieces


@pytest.fixture
def place(service: AzureMLEmulator, tmp_path: Path) -> Place:
    return Place(service, tmp_path).prepare()


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def reads(service: AzureMLEmulator, path: str) -> int:
    return sum(
        request.method == "GET" and request.path.endswith(f".net/azureml/{path}") for request in service.requests
    )


@pytest.mark.parametrize(
    ("what", "expected"),
    [("checkpoints", {BEST}), ("outputs", {BEST, "outputs/config.yaml", "outputs/empty"}), ("logs", {LOG})],
)
def test_what_is_asked_for_comes_and_nothing_else(place: Place, what: str, expected: set[str]) -> None:
    there = {BEST: b"best", "outputs/config.yaml": b"a: 1", "outputs/empty": b"", LOG: b"line"}
    run = place.run(there)

    done = place.submit("download", run, "--what", what, "--json")

    assert (done.status, done.err) == (0, "")
    assert files(place.folder / run) == {path: there[path] for path in expected}
    assert {file["path"]: file["size"] for file in json.loads(done.out)["files"]} == {
        path: len(there[path]) for path in expected
    }


def test_a_second_download_brings_only_what_is_missing_or_wrong(place: Place) -> None:
    run = place.run({BEST: b"best", LAST: b"last"})
    first = place.submit("download", run, "--target", "here")
    (place.folder / "here" / BEST).write_bytes(b"bEst")
    before = [reads(place.service, f"ExperimentRun/dcid.{run}/{path}") for path in (BEST, LAST)]

    second = place.submit("download", run, "--target", "here")

    after = [reads(place.service, f"ExperimentRun/dcid.{run}/{path}") for path in (BEST, LAST)]
    assert first.out.splitlines() == [f"here/{BEST}: 4 bytes", f"here/{LAST}: 4 bytes"]
    assert second.out.splitlines() == [f"here/{BEST}: 4 bytes", f"here/{LAST}: 4 bytes, was here"]
    assert (before, after) == ([1, 1], [2, 1])
    assert files(place.folder / "here") == {BEST: b"best", LAST: b"last"}


def test_an_interrupted_download_goes_on_where_it_was(place: Place) -> None:
    run = place.run({BEST: LARGE})
    path = f"ExperimentRun/dcid.{run}/{BEST}"
    place.service.inject(Fault.slow(0.5, path))

    interrupted = interrupted_download(place, run)
    left = files(place.folder / run)
    place.service.clear_faults()
    time.sleep(0.5)  # until the request that was interrupted is on the list
    before = reads(place.service, path)
    done = place.submit("download", run)

    assert (interrupted.status, interrupted.out) == (130, "")
    assert interrupted.err == "interrupted; the same command goes on where it was\n"
    assert [name.endswith(".part") for name in left] == [True]
    pieces_left = 3 - len(next(iter(left.values()))) // (8 * 2**20)
    assert (done.status, done.out) == (0, f"{run}/{BEST}: {len(LARGE):,} bytes\n")
    assert reads(place.service, path) - before == pieces_left < 3
    assert files(place.folder / run) == {BEST: LARGE}


def interrupted_download(place: Place, run: str) -> Outcome:
    """Interrupted when one piece is here."""
    with place.started("download", run) as process:
        deadline = time.monotonic() + 30
        while not any(files(place.folder / run).values()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        return outcome(process, 5)


def test_pieces_of_a_file_that_has_changed_are_thrown_away(place: Place) -> None:
    run = place.run({BEST: LARGE})
    place.service.inject(Fault.slow(0.5, BEST))
    interrupted_download(place, run)
    place.service.clear_faults()
    changed = LARGE[::-1] + b"more"
    place.service.add_artifact(run, BEST, changed)

    done = place.submit("download", run)

    assert done.status == 0
    assert files(place.folder / run) == {BEST: changed}


def test_a_download_goes_on_though_connections_drop(place: Place) -> None:
    run = place.run({BEST: LARGE, LAST: LARGE, LOG: b"line"})
    place.service.inject(Fault.drop(".ckpt", probability=0.2, seed=3))
    place.service.inject(Fault.status(503, LAST, times=2))

    done = place.submit("download", run, "--what", "checkpoints")

    assert done.status == 0
    assert files(place.folder / run) == {BEST: LARGE, LAST: LARGE}


def test_a_file_that_never_comes_right_is_told_and_does_not_stay(place: Place) -> None:
    """It was replaced while it came, so that its pieces are from two files."""
    run = place.run({BEST: LARGE})
    place.service.inject(Fault.slow(0.5, BEST))

    with place.started("download", run) as process:
        deadline = time.monotonic() + 30
        while not any(files(place.folder / run).values()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        place.service.add_artifact(run, BEST, LARGE[::-1])
        done = outcome(process)

    message = f"error: {BEST}: what came isn't what the service has; run the command once more\n"
    assert (done.status, done.out, done.err) == (1, "", message)
    assert files(place.folder / run) == {}


def test_a_refusal_is_told_without_the_signature_of_the_address(place: Place) -> None:
    run = place.run({BEST: b"best"})
    place.service.inject(Fault.status(403, ".net/azureml/"))

    done = place.submit("download", run)

    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith(f"error: {BEST}: 403 ")
    assert "sig=" not in done.err


def test_a_run_without_such_files_is_told(place: Place) -> None:
    run = place.run({LOG: b"line"})

    done = place.submit("download", run)

    assert (done.status, done.err) == (2, f"error: run {run} has no outputs; it has {LOG}\n")
    assert not (place.folder / run).exists()
