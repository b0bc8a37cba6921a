"""Processes under the watchdog that do next to nothing, so that what it does itself is quick to see."""

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lightning_app.watchdog.protocol import Timeouts
from lightning_app.watchdog.stacks import BUSY, PATIENT, WAITING, activity, stalled_ranks
from submit.execution.nodes import free_port
from tests.support.commands import ROOT, Outcome, environment

# a training of WORLD processes whose work is a few words of Python
SCRIPT = """
import json, os, signal, sys, time
from lightning_app.errors import UsageError
from lightning_app.distributed.detect import read_launch
from lightning_app.watchdog import supervision
from lightning_app.watchdog.protocol import Timeouts
from lightning_app.watchdog.watchdog import Watchdog

launch = read_launch()
watchdog = Watchdog(Timeouts(**json.loads(os.environ["LIMITS"])))
rank = launch.rank

def work():
    exec(os.environ["WORK"])

def told(error):
    return str(error) if isinstance(error, UsageError) else None

supervision.start(watchdog, launch, dict(os.environ))
supervision.supervised(watchdog, work, told)
print("over", flush=True)
"""


def start(work: str, folder: Path, rank: int, world: int, port: int, **limits: float) -> subprocess.Popen[str]:
    variables = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "AZUREML_NODE_COUNT": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env=environment() | variables | {"WORK": work, "LIMITS": json.dumps(limits)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def together(work: str, folder: Path, world: int = 3, **limits: float) -> list[Outcome]:
    """What became of each rank."""
    port = free_port()
    return ended([start(work, folder, rank, world, port, **limits) for rank in range(world)])


def ended(processes: Sequence[subprocess.Popen[str]]) -> list[Outcome]:
    found = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        found.append(Outcome(process.returncode, out, err))
    return found


def test_nothing_is_said_where_nothing_fails(tmp_path: Path) -> None:
    assert together("time.sleep(rank)", tmp_path) == [Outcome(0, "over\n", "")] * 3
    assert list(tmp_path.iterdir()) == []


def test_the_first_waits_for_the_others_and_ends_with_them(tmp_path: Path) -> None:
    outcomes = together("rank == 2 and (time.sleep(2), 1 / 0)", tmp_path)

    assert [outcome.status for outcome in outcomes] == [1, 0, 1]
    assert "ZeroDivisionError" in outcomes[0].err


def test_an_error_is_told_by_all_and_kept_once(tmp_path: Path) -> None:
    outcomes = together("1 / 0 if rank == 1 else time.sleep(60)", tmp_path)

    assert [outcome.status for outcome in outcomes] == [1, 1, 1]
    report = (tmp_path / "outputs" / "failures.txt").read_text()
    assert (
        report.count("FAILED: rank 1 (node 0, 127.0.0.1) raised an error, at the start. All processes are ended.") == 1
    )
    assert report.rstrip().endswith("ZeroDivisionError: division by zero")
    for outcome in outcomes:
        assert outcome.err.rstrip().endswith("ZeroDivisionError: division by zero")
        assert outcome.err.count("Traceback") == 1


def test_the_exit_status_of_the_one_that_fails_is_its_own(tmp_path: Path) -> None:
    outcomes = together("sys.exit(7) if rank == 1 else time.sleep(60)", tmp_path)

    assert [outcome.status for outcome in outcomes] == [1, 7, 1]
    assert all("rank 1 (node 0, 127.0.0.1) ended, at the start" in outcome.err for outcome in outcomes)
    assert all(outcome.err.rstrip().endswith("Exit status 7.") for outcome in outcomes)


def test_a_mistake_of_the_user_that_all_see_is_one_line_of_the_first(tmp_path: Path) -> None:
    outcomes = together("raise UsageError('--what 7: expected 8')", tmp_path)

    assert [outcome.status for outcome in outcomes] == [2, 2, 2]
    assert [outcome.err for outcome in outcomes] == ["error: --what 7: expected 8\n", "", ""]
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_that_one_sees_is_told_by_all_with_its_rank(tmp_path: Path) -> None:
    work = "if rank == 2: raise UsageError('no such folder')\nelse: time.sleep(60)"

    outcomes = together(work, tmp_path, lost=2)

    assert [outcome.status for outcome in outcomes] == [2, 2, 2]
    assert {outcome.err for outcome in outcomes} == {"error: rank 2 (node 0, 127.0.0.1): no such folder\n"}


@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_killed_is_named(rank: int, tmp_path: Path) -> None:
    outcomes = together(f"os.kill(os.getpid(), signal.SIGKILL) if rank == {rank} else time.sleep(60)", tmp_path)

    assert [outcome.status for outcome in outcomes] == [-9 if each == rank else 1 for each in range(3)]
    assert all(f"rank {rank} (node 0, 127.0.0.1) was killed" in outcome.err for outcome in outcomes)


def test_errors_of_the_communication_are_not_the_cause(tmp_path: Path) -> None:
    killed = "os.kill(os.getpid(), signal.SIGKILL)"
    lost = "raise RuntimeError('gloo: Connection closed by peer')"

    outcomes = together(f"if rank == 1: time.sleep(0.5); {killed}\n{lost}", tmp_path)

    assert all("rank 1 (node 0, 127.0.0.1) was killed" in outcome.err for outcome in outcomes)
    assert not any("Traceback" in outcome.err for outcome in outcomes)


def test_a_communication_that_fails_without_another_cause_is_told(tmp_path: Path) -> None:
    work = "if rank == 1: raise RuntimeError('NCCL is out of luck')\ntime.sleep(60)"

    outcomes = together(work, tmp_path, collective=2)

    assert all(outcome.err.rstrip().endswith("RuntimeError: NCCL is out of luck") for outcome in outcomes)
    assert all("rank 1 (node 0, 127.0.0.1) lost touch with the others" in outcome.err for outcome in outcomes)


def test_a_process_that_never_comes_up_is_missed(tmp_path: Path) -> None:
    port = free_port()

    outcomes = ended([start("time.sleep(60)", tmp_path, rank, 3, port, start=2) for rank in (0, 2)])

    assert [outcome.status for outcome in outcomes] == [1, 1]
    told = "1 process never came up, at the start. All processes are ended.\nOf 3 processes these came up within 2 s: "
    assert all(told in outcome.err for outcome in outcomes)
    assert all("rank 0 (node 0, 127.0.0.1)" in outcome.err for outcome in outcomes)


def test_where_rank_0_never_comes_up_the_others_say_so(tmp_path: Path) -> None:
    port = free_port()

    (outcome,) = ended([start("time.sleep(60)", tmp_path, 1, 2, port, start=1)])

    assert outcome.status == 1
    assert "rank 0 (node 0, 127.0.0.1) can't be reached" in outcome.err
    assert f"Nothing listens at 127.0.0.1:{port + 1} within 1 s" in outcome.err


def test_a_port_in_use_is_told_before_work_begins(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port + 1)):
        (outcome,) = ended([start("time.sleep(60)", tmp_path, 0, 2, port)])

    assert outcome.status == 2
    assert f"error: port {port + 1} of this node, the one after MASTER_PORT, can't be used" in outcome.err


def test_a_process_that_is_stopped_is_found_out(tmp_path: Path) -> None:
    # the others say that they are done, and wait
    work = "watchdog.page.advance('training'); rank == 1 and os.kill(os.getpid(), signal.SIGSTOP)"
    outcomes = together(work, tmp_path, stall=2, end=1)

    assert outcomes[1].status == -9
    assert outcomes[0].status == 1
    assert "rank 1 (node 0, 127.0.0.1) kept the others waiting" in outcomes[0].err
    assert "It doesn't say where it is" in outcomes[0].err


def test_ctrl_c_is_no_failure(tmp_path: Path) -> None:
    outcomes = together("raise KeyboardInterrupt", tmp_path)

    assert [outcome.status for outcome in outcomes] == [1, 1, 1]
    assert all(outcome.err.startswith("Interrupted: rank ") for outcome in outcomes)
    assert list(tmp_path.iterdir()) == []


def stack(*frames: str) -> str:
    """As a process tells it: the innermost last."""
    return "".join(f'  File "{frame.partition(":")[0]}", line 1, in {frame.partition(":")[2]}\n' for frame in frames)


COLLECTIVE = stack("fit.py:train", "lib/torch/distributed/distributed_c10d.py:all_reduce")
BACKWARD = stack("fit.py:train", "lib/torch/autograd/graph.py:_engine_run_backward")
LOOP = stack("fit.py:train", "models/mine.py:training_step")
READS = stack("fit.py:train", "lib/torch/utils/data/dataloader.py:_next_data", "queue.py:get")
IMPORTS = stack("fit.py:train", "<frozen importlib._bootstrap>:_load", "lib/torch/_dynamo/__init__.py:<module>")
SAVES = stack("fit.py:train", "checkpoints.py:save_checkpoint", "os.py:fsync")


def test_what_a_process_does_is_told_by_its_stack() -> None:
    assert [activity(text) for text in (COLLECTIVE, BACKWARD)] == [WAITING, WAITING]
    assert [activity(text) for text in (LOOP, "")] == [BUSY, BUSY]
    assert [activity(text) for text in (READS, SAVES)] == [PATIENT, PATIENT]


@pytest.mark.parametrize(
    ("stacks", "progress", "idle", "found"),
    [
        ([COLLECTIVE, LOOP, BACKWARD], [5, 5, 5], 20, [1]),
        ([COLLECTIVE, LOOP, BACKWARD], [5, 5, 5], 19, []),
        ([COLLECTIVE, "", BACKWARD], [5, 5, 5], 20, [1]),
        ([LOOP, LOOP, LOOP], [5, 5, 5], 500, []),  # nobody waits: a step may take its time
        ([LOOP, LOOP, LOOP], [9, 5, 9], 20, [1]),  # as on a GPU, where waiting doesn't show
        ([COLLECTIVE, READS, COLLECTIVE], [5, 5, 5], 500, []),
        ([COLLECTIVE, SAVES, COLLECTIVE], [5, 5, 5], 1800, [1]),
        ([COLLECTIVE, LOOP, COLLECTIVE], [1, 0, 1], 500, []),  # it loads its libraries
        ([COLLECTIVE, IMPORTS, COLLECTIVE], [5, 5, 5], 500, []),
        ([None, LOOP, None], [5, 5, 5], 20, [1]),
        ([COLLECTIVE, COLLECTIVE, COLLECTIVE], [5, 5, 5], 59, []),
        ([COLLECTIVE, COLLECTIVE, COLLECTIVE], [5, 5, 5], 60, [0, 1, 2]),
        ([BACKWARD, BACKWARD, BACKWARD], [5, 5, 5], 500, []),  # may be at work
    ],
)
def test_who_keeps_the_others_waiting(
    stacks: list[str | None], progress: list[int], idle: float, found: list[int]
) -> None:
    limits = Timeouts()
    assert stalled_ranks(stacks, progress, idle, limits.stall, limits.patient) == found


def test_the_agent_needs_nothing_but_the_standard_library() -> None:
    code = "import sys; sys.path.append(sys.argv[1]); import lightning_app.watchdog.agent"
    subprocess.run([sys.executable, "-I", "-S", "-c", code, str(ROOT)], check=True, timeout=60)
