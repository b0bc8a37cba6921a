"""Generated images: reproducible, generated once per machine, in a folder of the user's own."""

import hashlib
import multiprocessing
import os
from pathlib import Path

import pytest

from datamodules import CIFAR10DataModule, ImageFolderDataModule, cifar10_files, generated


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_generated_images_are_the_same_each_time(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(generated.image_folder())
    (empty_cache / "again").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(empty_cache / "again"))

    assert digest(generated.image_folder()) == first


def test_images_are_generated_once_by_the_first_process(empty_cache: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        folders = {result.get(120) for result in [pool.apply_async(generated.image_folder) for _ in range(4)]}

    assert len(folders) == 1
    left = [path.name for path in next(iter(folders)).parent.iterdir()]
    assert sorted(left) == ["generated-image-folder-2", "generated-image-folder-2.lock"]


def test_a_cache_folder_of_another_user_is_refused(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_user = os.getuid() + 1
    (empty_cache / f"lightning-azureml-{other_user}").mkdir()
    monkeypatch.setattr("os.getuid", lambda: other_user)

    with pytest.raises(PermissionError, match="belongs to another user"):
        generated.image_folder()


def test_the_classes_are_known_before_the_images_are_generated(empty_cache: Path) -> None:
    folder = cifar10_files.find_folder(generated.cifar10_folder())
    assert cifar10_files.read_classes(folder) == CIFAR10DataModule().classes
    assert ImageFolderDataModule(str(generated.image_folder())).classes == ImageFolderDataModule().classes


@pytest.mark.parametrize("module", [CIFAR10DataModule, ImageFolderDataModule])
@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_a_stage_says_once_that_its_images_are_generated(
    module: type[CIFAR10DataModule | ImageFolderDataModule], stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = module(val_split=5) if module is CIFAR10DataModule else module()
    data.prepare_data()
    caplog.set_level("INFO", "datamodules")

    data.setup(stage)
    data.setup(stage)

    lines = [record.message for record in caplog.records if "GENERATED" in record.message]
    has_images = stage != "test" or module is CIFAR10DataModule
    assert len(lines) == has_images
