"""The run's checkpoints are written while training goes on, and what can't be written is reported when it happens."""

import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from lightning_app.checkpointing.checkpoint_io import RunCheckpointIO, Saving
from lightning_app.checkpointing.checkpoints import RunCheckpoints
from lightning_app.checkpointing.exact_resume import ExactResume
from lightning_app.checkpointing.monitor import Monitor
from lightning_app.checkpointing.save_interval import SaveInterval
from lightning_app.checkpointing.sidecar import damage, read_sidecar
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from lightning_app.trainer.run_trainer import RunTrainer
from lightning_app.trainer.step_hooks import StepHooks
from lightning_app.trainer.step_loop import StepLoop
from tests.lightning_app.checkpointing.test_exact_resume import Noisy, assert_same_end, points
from tests.support.commands import environment

BYTES = 2000  # less than any checkpoint has


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes back the variables of Lightning's seed_everything after the test."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    monkeypatch.setenv("PL_SEED_WORKERS", "0")


@pytest.fixture
def limit_files() -> Iterator[Callable[[bool], None]]:
    """Lets writing fail as on a full disk: the system refuses files of more than ``BYTES``."""
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(is_full: bool) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES if is_full else earlier[0], earlier[1]))

    yield limit
    limit(False)


class Steps(StepHooks, pl.Callback):
    """Does something after optimizer steps, and keeps which were done."""

    def __init__(self, **actions: Callable[[], None]) -> None:
        self.actions = {int(name.removeprefix("after_")): action for name, action in actions.items()}
        self.done = 0

    def on_batch_complete(self, trainer: pl.Trainer) -> None:
        self.done = trainer.global_step
        self.actions.get(self.done, lambda: None)()


def fit(
    folder: RunFolder,
    *callbacks: pl.Callback,
    every: int = 2,
    keep: int = 2,
    resume: Path | None = None,
    **settings: Any,
) -> tuple[Noisy, RunTrainer]:
    """Three epochs of 11 steps."""
    pl.seed_everything(7)
    saving = RunCheckpoints(folder, Monitor(), SaveInterval(steps=every))
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    defaults = {"max_epochs": 3, "num_sanity_val_steps": 0, "enable_checkpointing": True}
    trainer = RunTrainer(
        accelerator="cpu",
        devices=1,
        default_root_dir=folder.root,
        callbacks=[ExactResume(), *callbacks, saving],
        plugins=[RunCheckpointIO(folder, keep)],
        **quiet | defaults | settings,
    )
    StepLoop.install(trainer)
    model = Noisy()
    trainer.fit(model, points(), points(shuffle=False), ckpt_path=resume, weights_only=True)
    return model, trainer


def steps_of(folder: RunFolder) -> dict[str, int]:
    found = {path.name: read_sidecar(path) for path in folder.last.parent.glob("*.ckpt")}
    assert all(damage(folder.last.parent / name) == "" for name in found)
    return {name: sidecar.step for name, sidecar in found.items() if sidecar}


def test_from_any_checkpoint_that_was_written_meanwhile_the_run_ends_as_if_it_had_not_been_stopped(
    folder: RunFolder, tmp_path: Path
) -> None:
    whole, _ = fit(folder, keep=50)
    assert set(steps_of(folder).values()) > {11, 22, 33}  # each epoch's end, and as many between as there is time for

    for path in sorted(folder.last.parent.glob("step-*.ckpt")):
        resumed, _ = fit(RunFolder(tmp_path / path.stem), resume=path)
        assert_same_end(resumed, whole)


def test_what_training_changes_while_a_state_waits_for_the_disk_is_not_in_it(folder: RunFolder) -> None:
    model, released = Noisy(), threading.Event()
    weight = model.head.weight.detach().clone()
    writing = RunCheckpointIO(folder)
    content = {"state_dict": model.state_dict(), "global_step": 5, "epoch": 0}
    with writing.saving(Saving(before=released.wait)):
        writing.save_checkpoint(content, folder.best)
    writing.save_checkpoint(content, folder.last)
    with torch.no_grad():
        model.head.weight.add_(1)
    assert writing.is_writing
    assert not folder.last.exists()

    released.set()
    writing.finish_writing()

    assert not writing.is_writing
    assert torch.equal(torch.load(folder.last, weights_only=True)["state_dict"]["head.weight"], weight)


def test_what_belongs_beside_a_checkpoint_is_written_before_it_has_its_name(folder: RunFolder) -> None:
    reached, released = threading.Event(), threading.Event()

    def write() -> None:
        reached.set()
        released.wait()

    writing = RunCheckpointIO(folder)
    with writing.saving(Saving((folder.last,), before=write)):
        writing.save_checkpoint({"state_dict": {}, "global_step": 5, "epoch": 0}, folder.best)
    reached.wait()

    # a process that is killed here continues from an earlier state
    assert steps_of(folder) == {}
    released.set()
    writing.finish_writing()
    assert steps_of(folder) == {"last.ckpt": 5, "best.ckpt": 5}


def test_no_more_than_two_states_are_in_memory(folder: RunFolder) -> None:
    released, saved = threading.Event(), threading.Event()
    writing = RunCheckpointIO(folder)
    content: dict[str, Any] = {"state_dict": {}, "global_step": 1, "epoch": 0}
    with writing.saving(Saving(before=released.wait)):
        writing.save_checkpoint(content, folder.last)
    writing.save_checkpoint(content | {"global_step": 2}, folder.last)

    def save_third() -> None:
        writing.save_checkpoint(content | {"global_step": 3}, folder.last)
        saved.set()

    thread = threading.Thread(target=save_third)
    thread.start()
    assert not saved.wait(0.3)
    released.set()
    thread.join()
    writing.finish_writing()

    assert steps_of(folder) == {"last.ckpt": 3, "step-000000001.ckpt": 1, "step-000000002.ckpt": 2}


def test_the_best_and_the_last_state_of_an_epoch_are_collected_once(folder: RunFolder) -> None:
    class Collected(pl.Callback):
        count = 0

        def on_save_checkpoint(self, *_: Any) -> None:
            self.count += 1

    collected = Collected()
    fit(folder, collected, every=100, max_epochs=1)

    assert collected.count == 1
    assert steps_of(folder) == {"last.ckpt": 11, "best.ckpt": 11}
    assert folder.best.read_bytes() == folder.last.read_bytes()
    assert folder.best.stat().st_ino != folder.last.stat().st_ino  # damage to one leaves the other
    assert folder.best_metrics.exists()


def test_files_of_a_users_callback_are_there_when_lightning_looks_for_them(folder: RunFolder, tmp_path: Path) -> None:
    class Reads(ModelCheckpoint):
        seen = 0

        def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
            super()._save_checkpoint(trainer, filepath)
            trainer.when_complete(lambda: self.read(filepath))  # type: ignore[attr-defined]  # a RunTrainer

        def read(self, path: str) -> None:
            assert torch.load(path, weights_only=True)["global_step"] > 0
            self.seen += 1

    own = Reads(tmp_path / "own", monitor="val_loss", save_top_k=1, every_n_train_steps=3)
    model, trainer = fit(folder, own)
    model.test_step = model.validation_step  # type: ignore[method-assign,assignment]
    trainer.test(model, points(shuffle=False), ckpt_path=own.best_model_path, weights_only=True, verbose=False)

    assert own.seen >= 2
    assert [str(path) for path in (tmp_path / "own").iterdir()] == [own.best_model_path]


def test_an_interval_that_cannot_be_saved_is_one_line_and_the_training_goes_on(
    folder: RunFolder, limit_files: Callable[[bool], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "lightning_app")
    wait = Steps(after_14=lambda: limit_files(True), after_19=lambda: limit_files(False))
    fit(folder, Slow(), wait, every=1)

    lines = [record.message for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith(f"{folder.last}: the state after ")
    assert lines[0].endswith("couldn't be saved (File too large); that after 13 steps is kept, and training goes on.")
    assert steps_of(folder)["last.ckpt"] == 33
    assert not [path.name for path in folder.last.parent.iterdir() if path.name.startswith(".")]


class Slow(StepHooks, pl.Callback):
    """Lets each write be done before the next step, so that the test knows which ones there were."""

    def __init__(self, until: int = 100) -> None:
        self.until = until

    def on_batch_complete(self, trainer: pl.Trainer) -> None:
        assert isinstance(trainer.strategy.checkpoint_io, RunCheckpointIO)
        if trainer.global_step <= self.until:
            trainer.strategy.checkpoint_io.finish_writing()


def test_without_any_checkpoint_a_failure_ends_the_training_soon(
    folder: RunFolder, limit_files: Callable[[bool], None]
) -> None:
    steps = Steps(after_1=lambda: limit_files(True))
    with pytest.raises(UsageError, match=r"could not save '.*last\.ckpt' \(File too large\); free some space"):
        fit(folder, steps, Slow(), every=3, max_epochs=100)

    assert steps.done == 4


def test_a_failure_at_the_end_of_an_epoch_ends_the_training_in_the_next_step(
    folder: RunFolder, limit_files: Callable[[bool], None]
) -> None:
    class Waits(StepHooks, pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 11:  # the thread may take longer than a step
                io = trainer.strategy.checkpoint_io
                while isinstance(io, RunCheckpointIO) and io.is_writing:
                    pass

    steps = Steps(after_11=lambda: limit_files(True))
    with pytest.raises(UsageError, match=r"could not save '.*best\.ckpt' \(File too large\)"):
        fit(folder, Slow(until=11), Waits(), steps, every=5)

    assert steps.done == 12
    assert steps_of(folder) == {"last.ckpt": 10, "step-000000005.ckpt": 5}


def test_a_failure_at_the_very_end_is_an_error(folder: RunFolder, limit_files: Callable[[bool], None]) -> None:
    steps = Steps(after_32=lambda: limit_files(True))
    with pytest.raises(UsageError, match=r"could not save '.*' \(File too large\); the earlier checkpoint is kept in"):
        fit(folder, Slow(until=31), steps, every=1000)

    assert steps.done == 33
    assert steps_of(folder)["last.ckpt"] == 22


@pytest.mark.slow
def test_on_a_full_disk_earlier_checkpoints_make_room_for_the_new_one(tmp_path: Path) -> None:
    """A file system of its own that holds three of them."""
    script = (
        "import sys; from tests.lightning_app.checkpointing.test_checkpoint_io import *\n"
        "writing, folder = RunCheckpointIO(RunFolder(Path('disk')), keep=5), RunFolder(Path('disk'))\n"
        "for step in range(1, 9):\n"
        "    content = {'state_dict': {'w': torch.full((250_000,), step)}, 'global_step': step, 'epoch': 0}\n"
        "    writing.save_checkpoint(content, folder.last); writing.finish_writing()\n"
        "print(sorted(steps_of(folder).items()))\n"
    )
    (tmp_path / "disk").mkdir()
    mount = 'mount -t tmpfs -o size=7m none disk && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "[('last.ckpt', 8), ('step-000000007.ckpt', 7)]\n"


def test_content_that_cannot_be_copied_is_written_at_once(folder: RunFolder) -> None:
    class Uncopied:
        value: Any = None

        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("no copies")

        def __reduce__(self) -> Any:
            return (int, (5,))

    writing = RunCheckpointIO(folder)
    writing.save_checkpoint({"state_dict": {}, "global_step": 5, "epoch": 0, "own": Uncopied()}, folder.last)

    assert steps_of(folder) == {"last.ckpt": 5}


def test_an_error_of_the_content_is_raised_as_it_is(folder: RunFolder) -> None:
    writing = RunCheckpointIO(folder)
    writing.save_checkpoint({"state_dict": {}, "global_step": 5, "epoch": 0, "own": lambda: 5}, folder.last)

    with pytest.raises((AttributeError, pickle.PicklingError), match=r"<lambda>"):
        writing.finish_writing()
    writing.finish_writing()  # it is raised once
