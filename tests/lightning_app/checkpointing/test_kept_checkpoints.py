"""Which checkpoints are kept, and that there is a good one at each moment of their exchange."""

import hashlib
import os
import time
from pathlib import Path

import pytest
import torch

from lightning_app.checkpointing.kept_checkpoints import put_last
from lightning_app.checkpointing.sidecar import Sidecar, damage, read_sidecar, sidecar_path
from lightning_app.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path)
    run.last.parent.mkdir()
    return run


def save(folder: RunFolder, step: int, keep: int = 2) -> None:
    unfinished = folder.last.with_name(".last.ckpt.1.tmp")
    torch.save({"state_dict": {}, "global_step": step}, unfinished)
    content = unfinished.read_bytes()
    put_last(unfinished, folder, Sidecar(step, 0, len(content), hashlib.sha256(content).hexdigest()), keep)


def steps(folder: RunFolder) -> dict[str, int]:
    """The steps in the checkpoints; each must be whole and have its own sidecar."""
    found = {}
    for path in sorted(folder.last.parent.glob("*.ckpt")):
        sidecar = read_sidecar(path)
        found[path.name] = torch.load(path, weights_only=True)["global_step"]
        assert damage(path) == ""
        assert sidecar is not None
        assert sidecar.step == found[path.name]
    return found


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (0, {"last.ckpt": 40}),
        (1, {"last.ckpt": 40, "step-000000030.ckpt": 30}),
        (2, {"last.ckpt": 40, "step-000000020.ckpt": 20, "step-000000030.ckpt": 30}),
    ],
)
def test_the_newest_are_kept(folder: RunFolder, keep: int, expected: dict[str, int]) -> None:
    for step in (10, 20, 30, 40):
        save(folder, step, keep)

    assert steps(folder) == expected
    assert len(list(folder.last.parent.iterdir())) == 2 * len(expected)


def test_the_step_decides_and_not_the_time_of_a_file(folder: RunFolder) -> None:
    for step in (10, 20, 30):
        save(folder, step)
        later = time.time() + 10_000 - step * 100  # the clock is set back before each one
        for path in (folder.last, sidecar_path(folder.last)):
            os.utime(path, (later, later))
    save(folder, 40)

    assert steps(folder) == {"last.ckpt": 40, "step-000000020.ckpt": 20, "step-000000030.ckpt": 30}


def test_a_state_of_the_same_step_takes_the_place_of_the_last_one(folder: RunFolder) -> None:
    for step in (10, 20, 20):
        save(folder, step)

    assert steps(folder) == {"last.ckpt": 20, "step-000000010.ckpt": 10}


def test_those_of_steps_that_come_again_are_removed_when_there_is_a_new_one(folder: RunFolder) -> None:
    for step in (10, 20, 30):
        save(folder, step)
    save(folder, 15)  # the run went on from 10

    assert steps(folder) == {"last.ckpt": 15, "step-000000010.ckpt": 10}


def test_files_of_the_user_with_such_a_name_stay(folder: RunFolder) -> None:
    for name in ("step-000000001.ckpt", "step-5.ckpt", "step-5.ckpt.json", "my-step-000000001.ckpt"):
        (folder.last.parent / name).write_text("the user's")
    for step in (10, 20, 30, 40):
        save(folder, step)

    others = {path.name for path in folder.last.parent.iterdir() if path.read_bytes() == b"the user's"}
    assert others == {"step-000000001.ckpt", "step-5.ckpt", "step-5.ckpt.json", "my-step-000000001.ckpt"}


def test_a_last_checkpoint_of_which_nothing_is_known_is_replaced(folder: RunFolder) -> None:
    save(folder, 10)
    sidecar_path(folder.last).unlink()
    save(folder, 20)

    assert steps(folder) == {"last.ckpt": 20}


@pytest.mark.parametrize("has_links", [True, False])
def test_whatever_call_is_the_last_one_of_a_process_a_good_checkpoint_is_left(
    folder: RunFolder, has_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is cut off before each of its calls that change the folder, the first to the last."""

    class Killed(BaseException):
        pass

    left = 0

    def counted(call):  # type: ignore[no-untyped-def]
        def counting(*arguments, **named):  # type: ignore[no-untyped-def]
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return call(*arguments, **named)

        return counting

    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    monkeypatch.setattr(os, "link", counted(os.link) if has_links else no_links)
    for calls in range(100):
        left = 1000
        for path in folder.last.parent.iterdir():
            path.unlink()
        for step in (10, 20, 30):
            save(folder, step, keep=1)
        left = calls
        try:
            save(folder, 40, keep=1)
            break
        except Killed:
            whole = [path for path in folder.last.parent.glob("*.ckpt") if damage(path) == ""]
            newest = max(torch.load(path, weights_only=True)["global_step"] for path in whole)
            assert newest >= 30
            assert not has_links or damage(folder.last) == ""
            assert all(damage(path) == "" for path in folder.last.parent.glob("*.ckpt"))
    assert 5 < calls < 99
