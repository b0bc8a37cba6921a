"""Staging: files of a mount are copied once a node, verified, and used by later runs; the mount is then left alone."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from filelock import Timeout

from benchmarks.slow_mount import slow_mount
from datamodules import DataError, ImageFolderDataModule, staging
from datamodules.generated import node_lock
from datamodules.image_files import ImageFiles
from datamodules.staging import StagedFiles, advice
from tests.support.images import make_image_folder


def images(root: Path) -> list[Path]:
    return sorted(root.rglob("*.jpg"))


def stage_files(root: Path, stage_dir: Path, paths: Sequence[Path]) -> StagedFiles:
    staged = StagedFiles(root, stage_dir)
    staged.prepare()
    with staged.copying(paths):
        pass
    return staged


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = list(caplog.messages)
    caplog.clear()
    return found


@pytest.fixture(autouse=True)
def _shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "datamodules")


@contextmanager
def mounted(source: Path, target: Path, **seconds: float) -> Iterator[Path]:
    try:
        mount = slow_mount(source, target, **seconds)
        entered = mount.__enter__()
    except OSError:
        pytest.skip("this system or user may not mount")
    try:
        yield entered
    finally:
        mount.__exit__(None, None, None)


def test_copies_are_equal_to_the_files_and_are_used_again(
    image_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = images(image_folder)

    copy_of = stage_files(image_folder, tmp_path / "disk", paths)
    copies = [copy_of(path) for path in paths]
    times = [copy.stat().st_mtime_ns for copy in copies]
    assert messages(caplog)[0].startswith("Copying 24 files (")

    stage_files(image_folder, tmp_path / "disk", paths)

    assert messages(caplog) == [f"The files of {str(image_folder)!r} are in {str(copies[0].parents[2])!r} already."]
    assert [copy.stat().st_mtime_ns for copy in copies] == times
    assert all(copy.read_bytes() == path.read_bytes() for copy, path in zip(copies, paths, strict=True))
    assert not copy_of(image_folder / "train" / "dark" / "other.jpg").exists()


def test_only_what_has_changed_is_copied_again(
    image_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = images(image_folder)
    copy_of = stage_files(image_folder, tmp_path / "disk", paths)
    damaged, shortened, absent = (copy_of(path) for path in paths[:3])
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.write_bytes(content)
    shortened.write_bytes(b"")
    absent.unlink()
    os.utime(paths[3], ns=(0, 10**18))  # may have other content
    shutil.copy(paths[4], image_folder / "train" / "dark" / "new.jpg")
    removed = copy_of(paths[5])
    paths[5].unlink()
    messages(caplog)

    stage_files(image_folder, tmp_path / "disk", images(image_folder))

    assert messages(caplog)[0].startswith("Copying 5 files (")
    assert not removed.exists()
    for path in images(image_folder):
        assert copy_of(path).read_bytes() == path.read_bytes()


def test_a_copying_that_was_killed_continues(
    image_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = images(image_folder)
    stage_files(image_folder, tmp_path / "disk", paths)
    (listed,) = (tmp_path / "disk").glob("*/copies.jsonl")
    lines = listed.read_text().splitlines(keepends=True)
    listed.write_text("".join(lines[:10]) + lines[10][:20])
    (listed.parent / "train" / "dark" / ".dark0.jpg.part").write_bytes(b"unfinished")
    messages(caplog)

    stage_files(image_folder, tmp_path / "disk", paths)

    assert messages(caplog)[0].startswith("Copying 14 files (")
    assert not list(listed.parent.rglob(".*"))
    assert {json.loads(line)["file"] for line in listed.read_text().splitlines()} == {
        path.relative_to(image_folder).as_posix() for path in paths
    }


def test_a_file_can_be_read_while_others_are_copied_and_another_run_waits(image_folder: Path, tmp_path: Path) -> None:
    paths = images(image_folder)
    staged = StagedFiles(image_folder, tmp_path / "disk")
    staged.prepare()
    lock = node_lock(staged(paths[0]).parents[2])

    with staged.copying(paths):
        assert all(staged(path).read_bytes() == path.read_bytes() for path in reversed(paths))
        with pytest.raises(Timeout):
            lock.acquire(timeout=0)

    lock.acquire(timeout=0)
    lock.release()


def test_the_processes_of_a_node_share_the_copying(
    image_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = images(image_folder)
    first, second = (StagedFiles(image_folder, tmp_path / "disk") for _ in range(2))
    first.prepare()

    with first.copying(paths[0::2], processes=2), second.copying(paths[1::2], processes=2):
        pass

    assert [line for line in messages(caplog) if line.startswith("Copying 12 files (")]
    stage_files(image_folder, tmp_path / "disk", paths)
    assert messages(caplog)[0].endswith("already.")


class Usage(NamedTuple):
    free: int


def test_what_has_no_room_is_read_from_the_mount(
    image_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = images(image_folder)
    room = sum(path.stat().st_size for path in paths[:8])
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda folder: Usage(room + staging._SPARE))

    copy_of = stage_files(image_folder, tmp_path / "disk", paths)

    assert all(copy_of(path).exists() for path in paths[:8])
    count = sum(not copy_of(path).exists() for path in paths)
    assert count >= 15
    assert messages(caplog)[0].startswith(f"{count} files don't fit into ")


def test_a_folder_that_cannot_be_written_to_is_named(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DataError, match=r"^--data\.stage_dir .*/file': can't be used \(.*; give a folder on this node"):
        stage_files(image_folder, tmp_path / "file", images(image_folder))


class Trainer:
    """What the datamodule reads of a Trainer."""

    world_size = num_devices = 1
    global_rank = local_rank = overfit_batches = 0

    class state:  # noqa: N801  # as Lightning calls it
        fn = "fit"


def read(folder: Path, **settings: Any) -> tuple[ImageFiles, list[Any]]:
    data = ImageFolderDataModule(str(folder), image_size=16, batch_size=5, cache_gb=0, num_workers=0, **settings)
    data.trainer = Trainer()  # type: ignore[assignment]  # all that is read
    data.prepare_data()
    data.setup("fit")
    loader = data.train_dataloader()
    return loader.dataset, [*loader, *data.val_dataloader()]  # type: ignore[return-value]  # it is an ImageFiles


def test_training_from_copies_reads_nothing_from_the_mount(image_folder: Path, tmp_path: Path) -> None:
    _, expected = read(image_folder)
    with mounted(image_folder, tmp_path / "mount", open_s=0.001, read_s=0.001) as mount:
        files, found = read(mount, stage_dir=str(tmp_path / "disk"))
    assert not (tmp_path / "mount" / "train").exists()

    again = [files[0, index][0] for index in range(len(files))]

    assert len(again) == 12
    for (batch, labels), (same, same_labels) in zip(expected, found, strict=True):
        assert torch.equal(batch, same)
        assert torch.equal(labels, same_labels)


def test_a_broken_file_is_named_where_it_is(image_folder: Path, tmp_path: Path) -> None:
    broken = image_folder / "train" / "dark" / "dark0.jpg"
    broken.write_bytes(broken.read_bytes()[:200])

    with pytest.raises(DataError, match=f"^--data_path: {str(broken)!r} is not a readable image"):
        read(image_folder, stage_dir=str(tmp_path / "disk"))


def test_a_copy_that_vanishes_while_training_is_replaced_by_the_file(image_folder: Path, tmp_path: Path) -> None:
    files, _ = read(image_folder, stage_dir=str(tmp_path / "disk"))
    shutil.rmtree(tmp_path / "disk")

    assert torch.equal(files[0, 0][0], ImageFiles(files.paths, files.view)[0, 0][0])


def test_a_slow_mount_is_noticed(tmp_path: Path) -> None:
    make_image_folder(tmp_path / "local", count=60)
    assert advice(images(tmp_path / "local")) is None

    with mounted(tmp_path / "local", tmp_path / "mount") as mount:
        line = advice(images(mount))

    assert line
    assert line.startswith("Reading an image file takes ")
    assert "--data.stage_dir DIR copies the files to this node's disk" in line
