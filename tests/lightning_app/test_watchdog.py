"""The watchdog with processes whose work is a line of Python, which makes these tests fast."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_app.distributed import sync
from lightning_app.watchdog.protocol import Timeouts
from lightning_app.watchdog.stacks import BUSY, SLOW_IO, WAITING, activity, stalled_ranks
from submit.execution.nodes import free_port
from tests.support.commands import Outcome, environment
from tests.support.programs import DEBIAN, WHEEL, require_mpirun
from tests.support.stoppable import finish, start


def run_training(work: str, folder: Path, world: int = 3, **timeouts: float) -> list[Outcome]:
    """The outcome of each rank."""
    port = free_port()
    return finish([start(work, folder, rank, world, port, **timeouts) for rank in range(world)])


def test_nothing_is_printed_when_nothing_fails(tmp_path: Path) -> None:
    outcomes = run_training("time.sleep(rank)", tmp_path)

    assert outcomes == [Outcome(0, "done\n", "")] * 3
    assert list(tmp_path.iterdir()) == []


def test_rank_0_waits_for_the_others_and_fails_with_them(tmp_path: Path) -> None:
    outcomes = run_training("rank == 2 and (time.sleep(2), 1 / 0)", tmp_path)

    assert [outcome.status for outcome in outcomes] == [1, 0, 1]
    assert "ZeroDivisionError" in outcomes[0].err


def test_an_error_is_logged_by_all_and_saved_once(tmp_path: Path) -> None:
    outcomes = run_training("1 / 0 if rank == 1 else time.sleep(60)", tmp_path)

    assert [outcome.status for outcome in outcomes] == [1, 1, 1]
    report = (tmp_path / "outputs" / "failures.txt").read_text()
    assert (
        report.count("FAILED: rank 1 (node 0, 127.0.0.1) raised an error, at the start. All processes were stopped.")
        == 1
    )
    assert report.rstrip().endswith("ZeroDivisionError: division by zero")
    for outcome in outcomes:
        assert outcome.err.rstrip().endswith("ZeroDivisionError: division by zero")
        assert outcome.err.count("Traceback") == 1


def test_the_failed_process_keeps_its_exit_status(tmp_path: Path) -> None:
    outcomes = run_training("sys.exit(7) if rank == 1 else time.sleep(60)", tmp_path)

    assert [outcome.status for outcome in outcomes] == [1, 7, 1]
    assert all("rank 1 (node 0, 127.0.0.1) exited, at the start" in outcome.err for outcome in outcomes)
    assert all(outcome.err.rstrip().endswith("Exit status 7.") for outcome in outcomes)


def test_a_usage_error_of_all_processes_is_one_line_of_rank_0(tmp_path: Path) -> None:
    outcomes = run_training("raise UsageError('--what 7: expected 8')", tmp_path)

    assert [outcome.status for outcome in outcomes] == [2, 2, 2]
    assert [outcome.err for outcome in outcomes] == ["error: --what 7: expected 8\n", "", ""]
    assert list(tmp_path.iterdir()) == []


def test_a_usage_error_of_one_process_is_logged_by_all_with_its_rank(tmp_path: Path) -> None:
    work = "if rank == 2: raise UsageError('no such folder')\nelse: time.sleep(60)"

    outcomes = run_training(work, tmp_path, lost=2)

    assert [outcome.status for outcome in outcomes] == [2, 2, 2]
    assert {outcome.err for outcome in outcomes} == {"error: rank 2 (node 0, 127.0.0.1): no such folder\n"}


@pytest.mark.parametrize("rank", [0, 1])
def test_the_report_names_a_killed_process(rank: int, tmp_path: Path) -> None:
    outcomes = run_training(f"os.kill(os.getpid(), signal.SIGKILL) if rank == {rank} else time.sleep(60)", tmp_path)

    assert [outcome.status for outcome in outcomes] == [-9 if each == rank else 1 for each in range(3)]
    assert all(f"rank {rank} (node 0, 127.0.0.1) was killed" in outcome.err for outcome in outcomes)


def test_a_communication_error_is_not_the_root_cause(tmp_path: Path) -> None:
    killed = "os.kill(os.getpid(), signal.SIGKILL)"
    lost = "raise RuntimeError('gloo: Connection closed by peer')"

    outcomes = run_training(f"if rank == 1: time.sleep(0.5); {killed}\n{lost}", tmp_path)

    assert all("rank 1 (node 0, 127.0.0.1) was killed" in outcome.err for outcome in outcomes)
    assert not any("Traceback" in outcome.err for outcome in outcomes)


def test_a_communication_error_without_another_cause_is_reported(tmp_path: Path) -> None:
    work = "if rank == 1: raise RuntimeError('NCCL is out of luck')\ntime.sleep(60)"

    outcomes = run_training(work, tmp_path, collective=2)

    assert all(outcome.err.rstrip().endswith("RuntimeError: NCCL is out of luck") for outcome in outcomes)
    assert all("rank 1 (node 0, 127.0.0.1) lost its connection to the others" in outcome.err for outcome in outcomes)


def test_a_process_that_never_starts_is_reported(tmp_path: Path) -> None:
    port = free_port()

    outcomes = finish([start("time.sleep(60)", tmp_path, rank, 3, port, startup=2) for rank in (0, 2)])

    assert [outcome.status for outcome in outcomes] == [1, 1]
    report = "1 process never started, at the start. All processes were stopped.\n"
    assert all(report in outcome.err for outcome in outcomes)
    assert all("Of 3 processes, only these started within 2 s: " in outcome.err for outcome in outcomes)
    assert all("rank 0 (node 0, 127.0.0.1)" in outcome.err for outcome in outcomes)


def test_a_rank_0_that_never_starts_is_reported_by_the_others(tmp_path: Path) -> None:
    port = free_port()

    (outcome,) = finish([start("time.sleep(60)", tmp_path, 1, 2, port, startup=1)])

    assert outcome.status == 1
    assert "rank 0 (node 0, 127.0.0.1) can't be reached" in outcome.err
    assert f"Nothing listens at 127.0.0.1:{port + 1} within 1 s" in outcome.err


def test_a_port_in_use_is_reported_before_work_begins(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port + 1)):
        (outcome,) = finish([start("time.sleep(60)", tmp_path, 0, 2, port)])

    assert outcome.status == 2
    assert f"error: port {port + 1} of this node, the one after MASTER_PORT, can't be used" in outcome.err


def test_a_stopped_process_is_detected(tmp_path: Path) -> None:
    # the others are done, and wait
    work = "watchdog.progress.advance('training'); rank == 1 and os.kill(os.getpid(), signal.SIGSTOP)"

    outcomes = run_training(work, tmp_path, stall=2, shutdown=1)

    assert outcomes[1].status == -9
    assert outcomes[0].status == 1
    assert "rank 1 (node 0, 127.0.0.1) kept the others waiting" in outcomes[0].err
    assert "It sent no stack trace" in outcomes[0].err


def stack(*frames: str) -> str:
    """A stack in the format of a traceback, from FILE:FUNCTION of each frame, the innermost last."""
    return "".join(f'  File "{frame.partition(":")[0]}", line 1, in {frame.partition(":")[2]}\n' for frame in frames)


COLLECTIVE = stack("fit.py:train", "lib/torch/distributed/distributed_c10d.py:all_reduce")
BACKWARD = stack("fit.py:train", "lib/torch/autograd/graph.py:_engine_run_backward")
LOOP = stack("fit.py:train", "models/mine.py:training_step")
READS = stack("fit.py:train", "lib/torch/utils/data/dataloader.py:_next_data", "queue.py:get")
IMPORTS = stack("fit.py:train", "<frozen importlib._bootstrap>:_load", "lib/torch/_dynamo/__init__.py:<module>")
SAVES = stack("fit.py:train", "checkpoints.py:save_checkpoint", "os.py:fsync")


def test_the_activity_of_a_process_is_derived_from_its_stack() -> None:
    assert [activity(text) for text in (COLLECTIVE, BACKWARD)] == [WAITING, WAITING]
    assert [activity(text) for text in (LOOP, "")] == [BUSY, BUSY]
    assert [activity(text) for text in (READS, SAVES)] == [SLOW_IO, SLOW_IO]


@pytest.mark.parametrize(
    ("stacks", "progress", "idle", "found"),
    [
        ([COLLECTIVE, LOOP, BACKWARD], [5, 5, 5], 20, [1]),
        ([COLLECTIVE, LOOP, BACKWARD], [5, 5, 5], 19, []),
        ([COLLECTIVE, "", BACKWARD], [5, 5, 5], 20, [1]),
        ([LOOP, LOOP, LOOP], [5, 5, 5], 500, []),  # no process waits: a step may take long
        ([LOOP, LOOP, LOOP], [9, 5, 9], 20, [1]),  # as on a GPU, where waiting isn't visible in the stack
        ([COLLECTIVE, READS, COLLECTIVE], [5, 5, 5], 500, []),
        ([COLLECTIVE, SAVES, COLLECTIVE], [5, 5, 5], 1800, [1]),
        ([COLLECTIVE, LOOP, COLLECTIVE], [1, 0, 1], 500, []),  # it is importing its libraries
        ([COLLECTIVE, IMPORTS, COLLECTIVE], [5, 5, 5], 500, []),
        ([None, LOOP, None], [5, 5, 5], 20, [1]),
        ([COLLECTIVE, COLLECTIVE, COLLECTIVE], [5, 5, 5], 59, []),
        ([COLLECTIVE, COLLECTIVE, COLLECTIVE], [5, 5, 5], 60, [0, 1, 2]),
        ([BACKWARD, BACKWARD, BACKWARD], [5, 5, 5], 500, []),  # may be computing
    ],
)
def test_stalled_ranks_are_those_that_the_others_wait_for(
    stacks: list[str | None], progress: list[int], idle: float, found: list[int]
) -> None:
    timeouts = Timeouts()

    assert stalled_ranks(stacks, progress, idle, timeouts.stall, timeouts.slow_io) == found


def test_a_stack_inside_the_module_that_sends_checkpoints_counts_as_slow_io() -> None:
    inside = stack("lightning_app/training.py:fit", f"{sync.__file__}:{sync.broadcast.__name__}", "socket.py:recv")

    assert activity(inside) == SLOW_IO


def run(command: list[str]) -> str:
    """Standard output."""
    return subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("source", [WHEEL, DEBIAN])
def test_processes_started_by_one_mpirun_share_a_key(source: str) -> None:
    # one write for the whole line: two processes share the output
    show = (
        "import os; from lightning_app.watchdog.keys import job_key; "
        "os.write(1, f'{job_key(os.environ).hex()}\\n'.encode())"
    )
    command = [*require_mpirun(source).command(2), sys.executable, "-c", show]

    first, second = (run(command).split() for _ in range(2))

    assert len(first) == len(second) == 2
    assert len(set(first)) == len(set(second)) == 1
    assert first != second
