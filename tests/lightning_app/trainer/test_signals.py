"""Trainings that get SIGTERM or Ctrl-C in each phase, in each launch shape: what is left, and their status."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from lightning_app.azureml.journal import read_journal
from lightning_app.checkpointing.checkpoint_files import read_checkpoint
from submit.execution.nodes import free_port
from tests.support.commands import Outcome, environment
from tests.support.images import make_cifar10
from tests.support.programs import require_mpirun

SLOW = pytest.mark.slow
BATCHES = 20  # of 8 images in an epoch
ENDED = 240.0  # seconds, ten times what is usual
LAST = "outputs/checkpoints/last.ckpt"
STATUS = {"SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129}


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(tmp_path / "cifar")


def arguments(*flags: str) -> list[str]:
    return [
        *("-m", "lightning_app.fit", "--model", "tests.support.signalled_module.Signalled"),
        *("--data", "datamodules.CIFAR10DataModule", "--data.val_split", "40", "--data_path", "cifar"),
        *("--num_epochs", "2", "--batch_size", "8", "--trainer.accelerator", "cpu", *flags),
    ]


def variables(when: str, name: str = "SIGTERM", rank: str = "all", **more: str) -> dict[str, str]:
    """The signal and when it comes; and a port of its own, because mpirun's processes would all use Azure ML's."""
    given = {"SIGNAL_WHEN": when, "SIGNAL_NAME": name, "SIGNAL_RANK": rank, "SIGNAL_FOLDER": ".", **more}
    return {"MASTER_PORT": str(free_port()), **given}


def listen() -> None:
    """A shell's background jobs ignore interrupts, those of nohup a hangup, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def run(command: Sequence[str], given: dict[str, str]) -> Outcome:
    done = subprocess.run(
        command,
        env=environment() | given,
        capture_output=True,
        text=True,
        timeout=ENDED,
        start_new_session=True,
        preexec_fn=listen,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def steps_saved() -> int:
    return int(read_checkpoint(Path(LAST))["global_step"])


CONTINUES = rf"; {LAST} has them, and the same command continues from there\.\n"
LINES = {  # what is printed and how many steps are saved
    "setup": (r"before the first step; the same command begins the training again\.\n", None),
    "training": (rf"after 0 epochs and 6 steps{CONTINUES}", 6),
    "validation": (rf"after 0 epochs and 20 steps{CONTINUES}", 20),
    "checkpoint": (rf"after 1 epoch and 20 steps{CONTINUES}", 20),
    "epoch_end": (rf"after 1 epoch and 20 steps{CONTINUES}", 20),
    "fit_end": (rf"after 2 epochs and 40 steps{CONTINUES}", 40),
    "test": (rf"after 2 epochs and 40 steps{CONTINUES}", 40),
}


@pytest.mark.parametrize(
    ("when", "name"),
    [
        pytest.param("training", "SIGTERM"),
        *(pytest.param(when, "SIGTERM", marks=SLOW) for when in LINES if when != "training"),
        *(pytest.param(when, "SIGINT", marks=SLOW) for when in LINES),
        pytest.param("training", "SIGHUP", marks=SLOW),
    ],
)
def test_a_training_ends_with_a_line_a_status_and_a_checkpoint(when: str, name: str) -> None:
    line, steps = LINES[when]

    outcome = run([sys.executable, *arguments()], variables(when, name))

    assert outcome.status == STATUS[name], outcome
    assert re.fullmatch(f"Stopped by {name} {line}", outcome.err), outcome.err
    assert (steps_saved() if Path(LAST).exists() else None) == steps


@pytest.mark.slow
@pytest.mark.parametrize("when", ["setup", "validation", "checkpoint", "test"])
def test_the_same_command_ends_as_an_undisturbed_run(when: str) -> None:
    """Not after a signal between two steps of an epoch: the rest of the epoch's images are others then."""
    whole = run([sys.executable, *arguments("--output_dir", "whole")], {})
    first = run([sys.executable, *arguments()], variables(when))

    second = run([sys.executable, *arguments()], {})

    assert (whole.status, first.status, second.status) == (0, 143, 0), second.err
    assert_same_results("whole", "outputs")


def assert_same_results(*folders: str) -> None:
    expected, found = (read_checkpoint(Path(folder, "checkpoints/last.ckpt")) for folder in folders)
    for name, value in expected["state_dict"].items():
        assert torch.equal(value, found["state_dict"][name]), name
    assert last_values(folders[0]) == last_values(folders[1])


def last_values(folder: str) -> dict[str, float]:
    values: dict[str, float] = {}
    for row in read_journal(Path(folder, "metrics.jsonl")):
        values |= {name: value for name, value in row["metrics"].items() if name.startswith(("val", "test"))}
    return values


TORCHRUN = (str(Path(sys.executable).with_name("torchrun")), "--nproc_per_node=2", "--standalone")
TWO = ("--trainer.devices", "2")


def launch(shape: str) -> list[str]:
    if shape == "mpirun":
        return [*require_mpirun().command(2), sys.executable]
    return [*TORCHRUN] if shape == "torchrun" else [sys.executable]


@pytest.mark.parametrize(
    ("shape", "when", "rank", "name"),
    [
        pytest.param("lightning", "training", "1", "SIGTERM"),
        *(
            pytest.param(shape, when, rank, "SIGTERM", marks=SLOW)
            for shape in ("lightning", "torchrun", "mpirun")
            for when in ("setup", "training", "validation", "checkpoint", "test")
            for rank in ("0", "1", "all")
            if (shape, when, rank) != ("lightning", "training", "1")
        ),
        pytest.param("lightning", "training", "all", "SIGINT", marks=SLOW),
    ],
)
def test_two_ranks_end_together(shape: str, when: str, rank: str, name: str) -> None:
    outcome = run([*launch(shape), *arguments(*TWO)], variables(when, name, rank))

    # torchrun's own status is 1, and it prints those of its processes
    assert outcome.status == (1 if shape == "torchrun" else STATUS[name]), outcome
    assert "exitcode: 143" in outcome.err or shape != "torchrun"
    assert outcome.err.count(f"Stopped by {name} ") == 1
    assert "FAILED: " not in outcome.err
    if when == "setup":
        assert not Path(LAST).exists()
        return
    # the other processes learn of it some steps later
    assert steps_saved() >= {"training": 6, "validation": 10, "checkpoint": 10, "test": 20}[when]
    assert f" and {steps_saved()} steps; {LAST} has them, and the same command continues from there." in outcome.err


@pytest.mark.slow
def test_a_signal_to_the_process_group_lets_workers_finish_the_step() -> None:
    outcome = run(
        [sys.executable, *arguments("--num_workers", "2")], variables("training", "SIGTERM", "all", SIGNAL_TO="group")
    )

    assert outcome.status == 143
    assert re.fullmatch(f"Stopped by SIGTERM {LINES['training'][0]}", outcome.err), outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), TWO])
def test_a_step_that_never_ends_is_ended(flags: tuple[str, ...]) -> None:
    given = variables("training", "SIGTERM", "0", SIGNAL_HANG="1")

    outcome = run([sys.executable, *arguments("--stall_timeout", "3", *flags)], given)

    assert outcome.status in (143, -signal.SIGKILL)
    assert "Stopped by SIGTERM after 0 epochs and 5 steps; nothing is saved" in outcome.err or (
        "FAILED: rank 0 (node 0, 127.0.0.1) kept the others waiting" in outcome.err
    )


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["torchrun", "mpirun"])
def test_ranks_end_when_their_launcher_is_killed(shape: str) -> None:
    given = environment() | variables("training", rank="none")
    with Path("log").open("w") as log:
        launcher = subprocess.Popen(
            [*launch(shape), *arguments(*TWO, "--num_epochs", "1000")], env=given, stdout=log, stderr=log
        )
    wait_until(lambda: Path("reached-0").exists() and Path("reached-1").exists())
    pids = [int(Path(f"reached-{rank}").read_text()) for rank in range(2)]

    launcher.kill()
    launcher.wait()

    wait_until(lambda: not any(is_running(pid) for pid in pids))
    report = Path("outputs/failures.txt").read_text()
    assert "Stopped because its launcher (" in report
    assert f"{LAST} has them, and the same command continues from there." in report
    assert steps_saved() > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_torchrun_passes_its_signal_on(name: str) -> None:
    given = environment() | variables("training", rank="none")
    with Path("log").open("w") as log:
        launcher = subprocess.Popen(
            [*launch("torchrun"), *arguments(*TWO, "--num_epochs", "1000")],
            env=given,
            stdout=log,
            stderr=log,
            preexec_fn=listen,
        )
    wait_until(lambda: Path("reached-0").exists() and Path("reached-1").exists())
    pids = [int(Path(f"reached-{rank}").read_text()) for rank in range(2)]

    launcher.send_signal(signal.Signals[name])
    launcher.wait(ENDED)

    assert not any(is_running(pid) for pid in pids)
    line = f" and {steps_saved()} steps; {LAST} has them, and the same command continues from there."
    assert Path("log").read_text().count(line) == 1


SAVES = {  # the step at which a checkpoint is written on request, and the epochs and steps of the line
    "setup": "0 epochs and 1 step",
    "training": "0 epochs and 6 steps",
    "validation": "1 epoch and 20 steps",
    "checkpoint": "1 epoch and 20 steps",
    "epoch_end": "1 epoch and 20 steps",
}


@pytest.mark.parametrize(
    ("when", "flags"),
    [
        pytest.param("training", ()),
        *(pytest.param(when, (), marks=SLOW) for when in SAVES if when != "training"),
        pytest.param("training", ("--trainer.accumulate_grad_batches", "3"), marks=SLOW),
        *(pytest.param(when, TWO, marks=SLOW) for when in SAVES),
    ],
)
def test_a_signal_to_save_saves_and_the_training_ends_as_if_there_had_been_none(
    when: str, flags: tuple[str, ...]
) -> None:
    given = variables(when, "SIGUSR1", "0")
    whole = run([sys.executable, *arguments("--output_dir", "whole", *flags)], {})

    outcome = run([sys.executable, *arguments(*flags)], given)

    assert (whole.status, outcome.status, outcome.err) == (0, 0, ""), outcome
    saved = [line for line in outcome.out.splitlines() if line.startswith("Saved ")]
    if flags != TWO:
        steps = "0 epochs and 6 steps" if flags else SAVES[when]
        assert saved == [f"Saved {steps} because of SIGUSR1: {LAST}."]
    assert len(saved) == 1
    assert [line for line in outcome.out.splitlines() if not line.startswith(("Saved ", "Time: ", "Finished: "))] == [
        line.replace("whole", "outputs")
        for line in whole.out.splitlines()
        if not line.startswith(("Time: ", "Finished: "))
    ]
    assert_same_results("whole", "outputs")


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENDED
    while not condition():
        assert time.monotonic() < deadline, Path("log").read_text()
        time.sleep(0.05)


@pytest.mark.slow
def test_another_command_ends_with_a_line_and_a_status() -> None:
    assert run([sys.executable, *arguments()], {}).status == 0

    outcome = run([sys.executable, "-m", "lightning_app", "test"], variables("test"))

    assert outcome.status == 143
    assert outcome.err == "Stopped by SIGTERM before the work was done; the same command begins it again.\n"
