"""Image files: augmentation is reproducible, batches don't depend on the workers, extreme shapes become images."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from datamodules import ImageFolderDataModule
from datamodules.image_files import ImageFiles, normalise
from datamodules.views import middle
from tests.support.images import make_image_folder


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


@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (30_000, 1), (3, 5_000), (7, 5)])
def test_an_image_of_any_shape_trains_and_is_evaluated(tmp_path: Path, size: tuple[int, int]) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", size, "blue").save(tmp_path / split / name / "0.png")
    data = ImageFolderDataModule(str(tmp_path), image_size=64, num_workers=0)
    data.setup("fit")

    for loader in (data.train_dataloader(), data.val_dataloader()):
        for images, _ in loader:
            assert images.shape == (2, 3, 64, 64)
            assert images[:, 2].min() >= 254  # blue


def test_the_middle_of_a_long_image_is_all_that_a_crop_of_the_centre_shows() -> None:
    ramp = torch.arange(900).expand(100, 900)[..., None].to(torch.uint8)

    assert middle(ramp).shape == (100, 400, 1)
    assert middle(ramp.transpose(0, 1)).shape == (400, 100, 1)
    assert middle(ramp[:, :400]).shape == (100, 400, 1)
    assert torch.equal(middle(ramp), ramp[:, 250:650])
