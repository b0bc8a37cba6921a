"""Reading CIFAR-10's files: all layouts and pickle protocols, damaged and hostile content."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import DataError, cifar10_files
from tests.support.images import write_batch


def write(path: Path, content: Any, protocol: int = 2) -> None:
    path.write_bytes(pickle.dumps(content, protocol=protocol))


@pytest.mark.parametrize("subfolder", [".", "cifar-10-batches-py", "a/cifar-10-batches-py", "a"])
def test_the_batch_files_are_found_in_the_path_or_in_a_subfolder(tmp_path: Path, subfolder: str) -> None:
    (tmp_path / subfolder).mkdir(parents=True, exist_ok=True)
    write_batch(tmp_path / subfolder / "data_batch_1", 2, seed=0)

    assert cifar10_files.find_folder(tmp_path) == tmp_path / subfolder


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batches_of_every_pickle_protocol_are_read(cifar10: Path, protocol: int) -> None:
    folder = cifar10 / "cifar-10-batches-py"
    before = cifar10_files.read_split(folder, train=True, classes=10)
    for seed, name in enumerate(cifar10_files.TRAIN_FILES):
        write_batch(folder / name, 40, seed, protocol)

    after = cifar10_files.read_split(folder, train=True, classes=10)

    assert torch.equal(before.images, after.images)
    assert torch.equal(before.labels, after.labels)


def test_a_batch_file_of_python_2_is_read(tmp_path: Path) -> None:
    """The official files: strings are byte strings, and so is the content of the array."""
    pixels = bytes(range(256)) * 12
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + len(pixels).to_bytes(4, "little") + pixels + b"tb"
    )
    (tmp_path / "test_batch").write_bytes(b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x03eu.")

    read = cifar10_files.read_split(tmp_path, train=False, classes=10)

    assert read.images.shape == (1, 32, 32, 3)
    assert bytes(read.images.permute(0, 3, 1, 2).flatten().tolist()) == pixels
    assert read.labels.tolist() == [3]


def test_reading_never_runs_code_from_a_pickle(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "code_ran",)

    write(tmp_path / "test_batch", {"data": Hostile(), "labels": [0]})

    with pytest.raises(DataError, match=r"test_batch.*names .*no code in it was run"):
        cifar10_files.read_split(tmp_path, train=False, classes=10)

    assert not (tmp_path / "code_ran").exists()


IMAGES = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"data": IMAGES, "labels": [0, 10]}, "found label 10, expected whole numbers from 0 to 9"),
        ({"data": IMAGES, "labels": [0, -1]}, "label -1"),
        ({"data": IMAGES, "labels": [0, 1.5]}, "label 1.5"),
        ({"data": IMAGES, "labels": [0, True]}, "label True"),
        ({"data": IMAGES, "labels": [0]}, "found 2 images and 1 labels"),
        ({"data": IMAGES[:0], "labels": []}, "found 0 images and 0 labels"),
        (
            {"data": IMAGES[:, :100], "labels": [0, 1]},
            r"uint8 of shape \(2, 100\), expected uint8 of shape \(N, 3072\)",
        ),
        ({"data": IMAGES.astype(np.float64), "labels": [0, 1]}, "float64"),
        ({"data": "abc", "labels": [0, 1]}, "'data' is str"),
        ({"labels": [0, 1]}, "'data' is NoneType"),
        ([1, 2], "'data' is NoneType"),
    ],
)
def test_a_batch_with_wrong_content_is_an_error_that_names_the_file(tmp_path: Path, content: Any, reason: str) -> None:
    write(tmp_path / "test_batch", content)

    with pytest.raises(DataError, match=rf"test_batch' is not a batch of CIFAR-10: .*{reason}"):
        cifar10_files.read_split(tmp_path, train=False, classes=10)


def test_the_names_of_the_classes_are_read_from_the_data(tmp_path: Path) -> None:
    assert cifar10_files.read_classes(tmp_path)[:2] == ["airplane", "automobile"]

    write(tmp_path / "batches.meta", {"label_names": ["cat", "dog"]})

    assert cifar10_files.read_classes(tmp_path) == ["cat", "dog"]
