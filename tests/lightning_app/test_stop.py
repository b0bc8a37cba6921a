"""After a signal all processes stop or save at the same boundary between two steps, or are ended."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lightning_app.distributed.launch import LIGHTNING, MPI, NO_LAUNCHER, PYTORCH, STARTED_BY, TORCHRUN, Launch
from lightning_app.distributed.launcher_process import launcher_process
from lightning_app.trainer.signals import SignalHandling
from lightning_app.watchdog.stop import Due, StopCause, StopPoint
from lightning_app.watchdog.watchdog import Watchdog
from submit.execution.nodes import free_port
from tests.support.commands import Outcome, environment
from tests.support.stoppable import COMMAND, ENDED, finish, given, start, variables

TRAIN = "train(watchdog, rank)"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENDED
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def run_and_signal(folder: Path, number: int, ranks: list[int], work: str = TRAIN, **timeouts: float) -> list[Outcome]:
    """Three ranks, of which some get the signal in their third step."""
    port = free_port()
    processes = [start(work, folder, rank, 3, port, **timeouts) for rank in range(3)]
    wait_for(lambda: all((folder / f"step-{rank}").exists() for rank in range(3)))
    for rank in ranks:
        processes[rank].send_signal(number)
    return finish(processes)


@pytest.mark.parametrize(
    ("number", "ranks"), [(signal.SIGTERM, [2]), (signal.SIGTERM, [0, 1, 2]), (signal.SIGINT, [0])]
)
def test_all_ranks_stop_at_the_same_step(number: signal.Signals, ranks: list[int], tmp_path: Path) -> None:
    outcomes = run_and_signal(tmp_path, number, ranks)

    assert [outcome.status for outcome in outcomes] == [128 + number] * 3
    assert len({outcome.out for outcome in outcomes}) == 1
    assert outcomes[0].out.startswith("step ")
    assert [outcome.err for outcome in outcomes] == [
        f"Stopped by {number.name}, rank 0 has a checkpoint.\n",
        "",
        "",
    ]
    assert not (tmp_path / "outputs").exists()


def test_outside_of_training_all_ranks_end_at_once(tmp_path: Path) -> None:
    work = "Path(f'step-{rank}').touch(); time.sleep(600)"

    outcomes = run_and_signal(tmp_path, signal.SIGTERM, [1], work)

    assert [outcome.status for outcome in outcomes] == [143] * 3
    line = "Stopped by SIGTERM before the work began; the same command begins it again.\n"
    assert [outcome.err for outcome in outcomes] == [line, "", ""]


def test_a_signal_ends_all_ranks_though_one_never_starts(tmp_path: Path) -> None:
    port = free_port()
    work = "Path(f'step-{rank}').touch(); time.sleep(600)"
    processes = [start(work, tmp_path, rank, 3, port, lost=2) for rank in (0, 2)]
    wait_for(lambda: (tmp_path / "step-0").exists() and (tmp_path / "step-2").exists())

    processes[1].send_signal(signal.SIGTERM)
    outcomes = finish(processes)

    assert [outcome.status for outcome in outcomes] == [143] * 2


# after the step at which both have saved, for which both must have joined
HANGS = """
due = point.due
def hang(boundary):
    if due(boundary) is Due.SAVE:
        Path('hangs').touch()
        while True: pass
    return Due.NOTHING
if rank == 1: point.due = hang
train(watchdog, rank)
"""


def start_until_one_hangs(folder: Path, **timeouts: float) -> list[subprocess.Popen[str]]:
    port = free_port()
    processes = [start(HANGS, folder, rank, 2, port, **timeouts) for rank in range(2)]
    wait_for(lambda: all((folder / f"step-{rank}").exists() for rank in range(2)))
    processes[0].send_signal(signal.SIGUSR1)
    wait_for((folder / "hangs").exists)
    return processes


def test_a_rank_that_never_comes_to_a_boundary_is_ended(tmp_path: Path) -> None:
    processes = start_until_one_hangs(tmp_path, stall=1, boundary=1)

    processes[0].send_signal(signal.SIGTERM)
    outcomes = finish(processes)

    assert outcomes[0].status == 143
    assert outcomes[1].status in (143, -signal.SIGKILL)
    assert "rank 1 (node 0, 127.0.0.1)" in outcomes[0].err


def test_a_second_ctrl_c_ends_all_ranks_at_once(tmp_path: Path) -> None:
    processes = start_until_one_hangs(tmp_path, stall=500)

    while processes[0].poll() is None:  # those that come within a second, from a terminal and a launcher, are one
        processes[0].send_signal(signal.SIGINT)
        time.sleep(0.2)
    outcomes = finish(processes)

    assert [outcome.status for outcome in outcomes] == [130, 130]


# what rank 2 does at its first boundary after the signal
INSTEAD = """
due = point.due
if rank == 2: point.due = lambda boundary: ({}) if point.cause else due(boundary)
"""


def test_a_rank_that_is_killed_while_all_stop_ends_the_others(tmp_path: Path) -> None:
    killed = INSTEAD.format("os.kill(os.getpid(), signal.SIGKILL)")

    outcomes = run_and_signal(tmp_path, signal.SIGTERM, [0], killed + TRAIN)

    assert outcomes[2].status == -signal.SIGKILL
    assert [outcome.status for outcome in outcomes[:2]] == [143, 143]


def test_a_killed_rank_is_named_though_the_launcher_ends_the_others_at_once(
    tmp_path: Path,
) -> None:
    """torchrun looks for processes that have ended each tenth of a second, and the agents may be slow."""
    port = free_port()
    processes = [start(TRAIN, tmp_path, rank, 3, port, shutdown=2) for rank in range(3)]
    wait_for(lambda: all((tmp_path / f"step-{rank}").exists() for rank in range(3)))

    processes[2].kill()
    for process in processes[:2]:
        process.send_signal(signal.SIGTERM)
    outcomes = finish(processes)

    assert [outcome.status for outcome in outcomes] == [143, 143, -signal.SIGKILL]
    assert "FAILED: rank 2 (node 0, 127.0.0.1) was killed" in (tmp_path / "outputs" / "failures.txt").read_text()
    assert all("FAILED: rank 2 (node 0, 127.0.0.1) was killed" in outcome.err for outcome in outcomes[:2])


def test_an_error_while_all_stop_is_reported_like_any_other(tmp_path: Path) -> None:
    outcomes = run_and_signal(tmp_path, signal.SIGTERM, [0], INSTEAD.format("1 / 0") + TRAIN)

    assert [outcome.status for outcome in outcomes][:2] == [143, 143]
    assert all("ZeroDivisionError" in outcome.err for outcome in outcomes)


def test_a_signal_between_the_last_boundary_and_the_end_of_the_loop_is_not_missed() -> None:
    for _ in range(20):  # the thread that notices signals may be faster or slower than this one
        watchdog = Watchdog()
        with SignalHandling(watchdog, None):
            watchdog.stop_point.enter()
            assert watchdog.stop_point.due((1, 3)) is Due.NOTHING
            os.kill(os.getpid(), signal.SIGTERM)

            missed = watchdog.stop_point.leave()

        assert missed == StopCause("by SIGTERM", signal.SIGTERM)


@pytest.mark.parametrize("seed", range(20))
def test_points_agree_wherever_the_processes_are(seed: int) -> None:
    """Each process passes some boundaries, holds, and goes on to the one that all of them stop at."""
    boundaries = list(itertools.product(range(4), range(4), range(3)))
    draw = random.Random(seed)  # noqa: S311 no secret
    passed = [draw.randrange(len(boundaries) - 1) for _ in range(4)]
    points = [StopPoint() for _ in passed]
    cause = StopCause.from_signal(signal.SIGTERM)
    for point, count in zip(points, passed, strict=True):
        point.enter()
        assert {point.due(boundary) for boundary in boundaries[:count]} <= {Due.NOTHING}

    replies = [point.hold(cause) for point in points]
    for point in points:
        point.stop_after(max(reply for reply in replies if reply is not None))

    stops = [
        next(boundary for boundary in boundaries[count:] if point.due(boundary) is Due.STOP)
        for point, count in zip(points, passed, strict=True)
    ]
    assert stops == [boundaries[max(passed)]] * 4


SHORT = "train(watchdog, rank, seconds=0.02, steps=40)"


@pytest.mark.parametrize("ranks", [[1], [0, 1, 2]])
def test_all_ranks_save_at_the_same_step_and_go_on(ranks: list[int], tmp_path: Path) -> None:
    outcomes = run_and_signal(tmp_path, signal.SIGUSR1, ranks, SHORT)

    assert [outcome.status for outcome in outcomes] == [0] * 3, outcomes
    assert [outcome.err for outcome in outcomes] == [""] * 3
    assert len({outcome.out for outcome in outcomes}) == 1
    # requests of several ranks that come while the processes agree are one
    assert re.fullmatch(r"(saved \d+ because of SIGUSR1\n){1,3}done\n", outcomes[0].out), outcomes[0].out


def test_a_request_to_save_before_training_waits_for_its_first_step(tmp_path: Path) -> None:
    work = f"Path(f'step-{{rank}}').touch(); time.sleep(2); Path(f'step-{{rank}}').unlink(); {SHORT}"

    outcomes = run_and_signal(tmp_path, signal.SIGUSR1, [0], work)

    assert [outcome.status for outcome in outcomes] == [0] * 3, outcomes
    assert {outcome.out for outcome in outcomes} == {"saved 1 because of SIGUSR1\ndone\n"}


def test_a_request_to_save_after_training_or_where_nothing_is_trained_changes_nothing(tmp_path: Path) -> None:
    work = "point.enter(); point.leave(); Path(f'step-{rank}').touch(); time.sleep(2)"

    outcomes = run_and_signal(tmp_path, signal.SIGUSR1, [0, 1, 2], work)

    assert outcomes == [Outcome(0, "done\n", "")] * 3


class SteppingThread(threading.Thread):
    """Passes boundaries; where it saves or stops it waits for the others, as in a collective operation."""

    def __init__(self, together: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.point = StopPoint()
        self.done: list[tuple[Due, tuple[int, int]]] = []
        self._together = together

    def run(self) -> None:
        self.point.enter()
        for boundary in itertools.product(range(10_000), range(2)):
            time.sleep(random.random() / 2000)  # noqa: S311 no secret
            due = self.point.due(boundary, can_save=boundary[1] == 0)
            if due is not Due.NOTHING:
                self.done.append((due, boundary))
                self._together.wait(ENDED)
            if due is Due.STOP:
                return


@pytest.mark.parametrize("seed", range(10))
def test_points_save_together_whenever_they_are_asked(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 no secret
    together = threading.Barrier(3)
    threads = [SteppingThread(together) for _ in range(3)]
    points = [thread.point for thread in threads]
    for thread in threads:
        thread.start()

    for number in range(1, 40):
        time.sleep(draw.random() / 200)
        last = max(point.hold_to_save("", number) or () for point in points)
        for point in points:
            point.save_after(last, number)
    for point in points:
        point.hold_to_save("", 40)  # they haven't agreed on it when all stop
    last = max(point.hold(StopCause.from_signal(signal.SIGTERM)) or () for point in points)
    for point in points:
        point.stop_after(last)
    for thread in threads:
        thread.join(ENDED)

    assert threads[0].done == threads[1].done == threads[2].done
    *saves, stop = threads[0].done
    assert stop[0] is Due.STOP
    assert saves
    assert all(due is Due.SAVE and boundary[1] == 0 for due, boundary in saves)


LAUNCHER = """
import json, os, subprocess, sys, time
for rank in range(2):
    given = json.loads(os.environ["RANKS"])[rank]
    pipe = subprocess.PIPE if "READS" in os.environ else None
    subprocess.Popen(json.loads(os.environ["RANK_COMMAND"]), env=os.environ | given, stdout=pipe, stderr=pipe)
time.sleep(float(os.environ["LAUNCHER_SECONDS"]))
"""


def start_launcher(folder: Path, work: str, command: list[str], seconds: float, **more: str) -> subprocess.Popen[bytes]:
    """A program that starts two ranks, as a launcher does, and ends after the seconds."""
    port = free_port()
    reads = {"READS": "1"} if more.pop("READS", "") else {}
    ranks = [variables(rank, 2, port) | {"LOCAL_WORLD_SIZE": "2"} | more for rank in range(2)]
    given_here = {
        "RANKS": json.dumps(ranks),
        "RANK_COMMAND": json.dumps(command),
        "LAUNCHER_SECONDS": str(seconds),
        **reads,
    }
    variables_here = environment() | given(work) | given_here
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-c", LAUNCHER], cwd=folder, env=variables_here, stdout=log, stderr=log
        )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't tell the parents of a shell")
@pytest.mark.parametrize("command", [list(COMMAND), ["sh", "-c", f"{' '.join(COMMAND)}; true"]])
def test_ranks_end_when_their_launcher_is_killed(command: list[str], tmp_path: Path) -> None:
    work = f"Path(f'pid-{{rank}}').write_text(str(os.getpid())); {TRAIN}"
    launcher = start_launcher(tmp_path, work, command, 600, TORCHELASTIC_RUN_ID="7")
    wait_for(lambda: all((tmp_path / f"step-{rank}").exists() for rank in range(2)))
    pids = [int((tmp_path / f"pid-{rank}").read_text()) for rank in range(2)]

    launcher.kill()
    launcher.wait()

    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    report = (tmp_path / "outputs" / "failures.txt").read_text().strip()
    assert f"Stopped because its launcher (torchrun, process {launcher.pid}) has ended, rank 0 has" in report
    assert len(report.splitlines()) == 1
    steps = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("step ")]
    assert len(steps) == 2
    assert len(set(steps)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc whether the processes have ended")
def test_ranks_that_print_to_a_launcher_which_is_gone_stop_in_the_same_way(tmp_path: Path) -> None:
    work = f"Path(f'pid-{{rank}}').write_text(str(os.getpid())); {TRAIN.replace('rank)', 'rank, talks=True)')}"
    work += "\n"
    launcher = start_launcher(tmp_path, work, list(COMMAND), 600, TORCHELASTIC_RUN_ID="7", READS="1")
    wait_for(lambda: all((tmp_path / f"step-{rank}").exists() for rank in range(2)))
    pids = [int((tmp_path / f"pid-{rank}").read_text()) for rank in range(2)]

    launcher.kill()
    launcher.wait()

    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    report = (tmp_path / "outputs" / "failures.txt").read_text()
    assert f"Stopped because its launcher (torchrun, process {launcher.pid}) has ended, rank 0 has" in report


def test_ranks_go_on_when_the_shell_that_started_them_has_ended(tmp_path: Path) -> None:
    """Nothing says that it was a launcher: a user may have set the PyTorch launcher's variables, and logged out."""
    work = f"parent = os.getppid()\n{TRAIN.replace('rank)', 'rank, steps=60)')}\nPath(f'ended-{{rank}}').touch()"
    work += "\nassert os.getppid() != parent"
    launcher = start_launcher(tmp_path, work, list(COMMAND), 1.0)

    launcher.wait()

    wait_for(lambda: (tmp_path / "log").read_text().count("done") == 2)
    assert all((tmp_path / f"ended-{rank}").exists() for rank in range(2))


@pytest.mark.parametrize(
    ("launch", "is_watched"),
    [
        (Launch(TORCHRUN), True),
        (Launch(MPI), True),
        (Launch(LIGHTNING, rank=1, local_rank=1, world_size=2), True),
        (Launch(LIGHTNING, world_size=2), False),  # it has started the others
        (Launch(PYTORCH, world_size=2), False),
        (Launch(NO_LAUNCHER), False),
    ],
)
def test_only_what_is_known_as_a_launcher_is_watched(launch: Launch, is_watched: bool) -> None:
    process = launcher_process(launch)

    assert (process is not None) == is_watched
    if process is not None:
        assert not process.has_ended()
        assert str(os.getppid()) in str(process)


def test_a_rehearsal_is_watched_and_one_that_started_other_processes_is_not() -> None:
    launch = Launch(PYTORCH, world_size=2)

    assert launcher_process(launch, {STARTED_BY: str(os.getppid())}) is not None
    assert launcher_process(launch, {STARTED_BY: str(os.getppid() + 1)}) is None
