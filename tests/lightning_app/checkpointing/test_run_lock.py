"""One training at a time in a run folder, and what a killed one leaves there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_app.checkpointing.checkpoints import keep_apart
from lightning_app.checkpointing.run_lock import RunLock, remove_leftovers
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from lightning_app.watchdog.watchdog import Watchdog
from tests.support.commands import environment
from tests.support.unstarted_cli import UnstartedCLI

HOLD = """
import os, sys
from pathlib import Path
from lightning_app.run_folder import RunFolder
from lightning_app.checkpointing.run_lock import RunLock
RunLock(RunFolder(Path(sys.argv[1]))).acquire()
if os.fork() == 0:  # a worker of a DataLoader, which outlives its process for a moment
    sys.stdin.read()
    os._exit(0)
print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def hold(folder: RunFolder) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder.root)],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    return process


def test_a_second_training_is_refused_and_the_first_ones_process_named(folder: RunFolder) -> None:
    with hold(folder) as first:
        with pytest.raises(UsageError, match=rf"process {first.pid} on .*, since .* is training in this folder"):
            RunLock(folder).acquire()
        first.kill()
        first.wait()

        lock = RunLock(folder)
        lock.acquire()  # the lock of a dead process doesn't block

    lock.release()
    assert list(folder.root.iterdir()) == []


def test_a_lock_can_be_acquired_twice_by_its_holder_and_waits_for_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    lock = RunLock(folder)
    lock.acquire()
    assert not folder.root.exists()

    folder.root.mkdir()
    lock.acquire()
    lock.acquire()

    assert folder.run_holder.exists()
    lock.release()


def test_a_folder_can_be_used_again_in_the_same_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("outputs").mkdir()
    command = ["fit", "--model=CifarNet", "--data=CIFAR10DataModule"]

    with pytest.raises(UsageError, match="no such file"):
        UnstartedCLI([*command, "--resume=missing.ckpt"], Watchdog())
    for _ in range(2):
        UnstartedCLI(command, Watchdog())

    assert list(Path("outputs").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_nothing_else(folder: RunFolder) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = ["checkpoints/last.ckpt", f"checkpoints/.last.ckpt.{1}.tmp", "checkpoints/.mine.tmp", "charts/a-step20.json"]
    unfinished = [f"checkpoints/.last.ckpt.{pid}.tmp" for pid in (dead.pid, os.getpid(), 10**20)]
    left = [*unfinished, "charts/a-step30.json", "charts/a-step30.png"]
    for name in kept + left:
        path = folder.root / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

    remove_leftovers(folder, steps=20)

    files = [str(path.relative_to(folder.root)) for path in folder.root.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(kept)


def test_the_users_checkpoints_have_names_of_their_own(folder: RunFolder) -> None:
    last = ModelCheckpoint(save_last=True)
    elsewhere = ModelCheckpoint(folder.root / "mine", filename="best", save_last=True)

    keep_apart([last, elsewhere], folder)

    assert last.CHECKPOINT_NAME_LAST == "model-checkpoint-last"
    assert elsewhere.CHECKPOINT_NAME_LAST == "last"


@pytest.mark.parametrize("name", ["last", "best"])
def test_a_users_checkpoint_with_the_name_of_our_own_is_refused(folder: RunFolder, name: str) -> None:
    with pytest.raises(UsageError, match=f"filename '{name}' is that of this program's own checkpoint"):
        keep_apart([ModelCheckpoint(folder.root / "checkpoints", filename=name)], folder)
