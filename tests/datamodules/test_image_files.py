"""Image files: broken ones are found, decoding and augmentation are reproducible."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from datamodules import DataError, ImageFolderDataModule
from datamodules.image_files import ImageFiles, decode, image_paths, normalise, unreadable_reason
from tests.support.images import make_image_folder


def test_a_photograph_is_rotated_as_its_exif_data_says(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 2), "red")
    exif = image.getexif()
    exif[0x0112] = 6  # rotated by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)

    assert decode(tmp_path / "a.jpg").size == (2, 4)


@pytest.mark.parametrize("kind", ["jpg", "png", "bmp", "webp", "tiff"])
def test_a_complete_file_is_readable_and_a_truncated_one_is_not(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"image.{kind}"
    Image.effect_noise((64, 64), 50).convert("RGB").save(path)
    assert unreadable_reason(path) is None

    path.write_bytes(path.read_bytes()[:-100])

    assert unreadable_reason(path)


def test_data_after_an_image_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    Image.new("RGB", (8, 8)).save(path)
    path.write_bytes(path.read_bytes() + b"trailer")

    assert unreadable_reason(path) is None


def test_files_of_file_managers_are_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_text("x")

    assert image_paths(tmp_path, recursive=True, skip_broken=False) == [tmp_path / "a.png"]


def test_a_broken_file_is_an_error_and_is_left_out_on_request(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")

    with pytest.raises(DataError, match=r"b\.png' is not a readable image \(its image format is not recognised"):
        image_paths(tmp_path, recursive=True, skip_broken=False)
    assert image_paths(tmp_path, recursive=True, skip_broken=True) == [tmp_path / "a.png"]


def test_an_augmented_image_is_a_function_of_seed_epoch_and_image(image_folder: Path) -> None:
    data = ImageFolderDataModule(str(image_folder), image_size=16)
    data.setup("fit")
    files: ImageFiles = data.train_dataloader().dataset  # type: ignore[assignment]  # it is an ImageFiles
    torch.manual_seed(1)
    first, _ = files[3, 5]
    torch.manual_seed(2)
    before = torch.random.get_rng_state()

    again, _ = files[3, 5]

    assert torch.equal(first, again)
    assert not torch.equal(first, files[4, 5][0])
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_number_of_workers_changes_no_image(image_folder: Path) -> None:
    batches = []
    for num_workers in (0, 2):
        data = ImageFolderDataModule(str(image_folder), image_size=16, batch_size=5, num_workers=num_workers)
        data.setup("fit")
        loader = data.train_dataloader()
        loader.sampler.set_epoch(2)  # type: ignore[attr-defined]  # an EpochSampler has it
        batches.append(list(loader))

    for (images, labels), (same_images, same_labels) in zip(*batches, strict=True):
        assert (images.shape[1:], images.dtype) == ((3, 16, 16), torch.uint8)
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)


def test_normalise_equals_torchvisions(image_folder: Path) -> None:
    from torchvision.transforms.v2 import functional

    images = torch.randint(0, 256, (2, 3, 5, 5), dtype=torch.uint8)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

    ours = normalise(images, mean, std)

    torch.testing.assert_close(ours, functional.normalize(images / 255, mean, std), rtol=0, atol=1e-5)


def test_the_classes_are_the_folders_of_train(image_folder: Path) -> None:
    data = ImageFolderDataModule(str(image_folder))
    assert data.classes == ["dark", "light"]


def test_the_test_folder_is_optional(tmp_path: Path) -> None:
    data = ImageFolderDataModule(str(make_image_folder(tmp_path / "two")))
    data.setup("fit")
    assert data.test_dataloader() == []

    data = ImageFolderDataModule(str(make_image_folder(tmp_path / "three", ("train", "val", "test"))))
    data.setup("fit")
    assert len(data.test_dataloader()) == 3
