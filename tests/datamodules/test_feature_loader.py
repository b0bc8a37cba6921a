"""Batches of features: those of the network, each computed once, in the order of the images' own loader."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules import CIFAR10DataModule, ImageFolderDataModule
from datamodules.feature_loader import FeatureLoader, data_key, joined
from datamodules.views import RandomCrop
from tests.support.images import make_cifar10


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("cache")))


class MeanColours:
    """A backbone whose features are the mean of each colour; it counts the images."""

    width, dtype, at_once = 3, torch.float32, 1

    def __init__(self, key: str | None = "weights") -> None:
        self.key = key
        self.batches: list[int] = []

    @property
    def images(self) -> int:
        return sum(self.batches)

    def features(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        return images.float().mean((2, 3))

    def pictures(self, images: Tensor) -> Tensor:
        return images.float()


def folder_data(root: Path, **settings: Any) -> ImageFolderDataModule:
    data = ImageFolderDataModule(str(root), **{"batch_size": 5, "num_workers": 0, "image_size": 16} | settings)
    data.setup("fit")
    return data


def epochs(loader: Any, count: int) -> list[list[tuple[Tensor, Tensor]]]:
    result = []
    for epoch in range(count):
        loader.sampler.set_epoch(epoch)
        result.append(list(loader))
    return result


def assert_features_of(features: list[tuple[Tensor, Tensor]], images: list[tuple[Tensor, Tensor]]) -> None:
    for (rows, labels), (pixels, expected) in zip(features, images, strict=True):
        assert torch.equal(rows, pixels.float().mean((2, 3)))
        assert torch.equal(labels, expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_first_epochs_have_what_the_images_own_loader_has(image_folder: Path, workers: int) -> None:
    data, backbone = folder_data(image_folder, num_workers=workers), MeanColours()
    loader = FeatureLoader(data.train_dataloader(), backbone, views=2)

    of_features, of_images = epochs(loader, 2), epochs(data.train_dataloader(), 2)

    for features, images in zip(of_features, of_images, strict=True):
        assert_features_of(features, images)
    assert backbone.batches == [5, 5, 2] * 2


def test_later_epochs_use_the_views_in_turn_in_an_order_of_their_own(image_folder: Path) -> None:
    data, backbone = folder_data(image_folder), MeanColours()
    loader = FeatureLoader(data.train_dataloader(), backbone, views=2)

    all_epochs = [torch.cat([rows for rows, _ in epoch]) for epoch in epochs(loader, 5)]

    assert backbone.images == 2 * 12
    for later, view in ((2, 0), (3, 1), (4, 0)):
        assert not torch.equal(all_epochs[later], all_epochs[view])
        assert {tuple(row) for row in all_epochs[later].tolist()} == {tuple(row) for row in all_epochs[view].tolist()}


def test_another_loader_finds_the_features(image_folder: Path) -> None:
    list(FeatureLoader(folder_data(image_folder).train_dataloader(), MeanColours(), views=1))
    backbone = MeanColours()

    later = FeatureLoader(folder_data(image_folder).train_dataloader(), backbone, views=1)

    assert_features_of(list(later), list(folder_data(image_folder).train_dataloader()))
    assert backbone.images == 0


@pytest.mark.parametrize("change", ["weights", "image", "size", "batch", "seed", "removed"])
def test_other_features_are_not_taken(image_folder: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    list(FeatureLoader(folder_data(image_folder).train_dataloader(), MeanColours(), views=1))
    image = image_folder / "train/dark/dark0.jpg"
    settings: dict[str, Any] = {}
    if change == "image":
        os.utime(image, (1, 1))
    elif change == "removed":
        image.unlink()
    elif change == "seed":
        monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    elif change in ("size", "batch"):
        settings = {"image_size": 17} if change == "size" else {"batch_size": 4}
    backbone = MeanColours("others" if change == "weights" else "weights")
    data = folder_data(image_folder, **settings)

    features = list(FeatureLoader(data.train_dataloader(), backbone, views=1))

    assert backbone.images == 12 - (change == "removed")
    assert_features_of(features, list(data.train_dataloader()))


def test_an_epoch_begins_within_and_computes_only_what_is_left(image_folder: Path) -> None:
    data, backbone = folder_data(image_folder), MeanColours()
    loader = FeatureLoader(data.train_dataloader(), backbone, views=1)
    loader.sampler.seek(5)

    rest = list(loader)

    assert_features_of(rest, list(data.train_dataloader())[1:])
    assert backbone.images == 7


def test_an_epoch_that_is_left_early_computes_no_more_than_its_batches(image_folder: Path) -> None:
    backbone = MeanColours()
    loader = FeatureLoader(folder_data(image_folder).train_dataloader(), backbone, views=1)

    next(iter(loader))

    assert backbone.images == 5


def test_on_a_gpu_batches_are_enlarged(image_folder: Path) -> None:
    data, backbone = folder_data(image_folder, batch_size=1), MeanColours()
    backbone.at_once = 8

    features = list(FeatureLoader(data.train_dataloader(), backbone, views=1))

    assert_features_of(features, list(data.train_dataloader()))
    assert backbone.batches == [8, 4]


def test_without_a_frozen_backbone_there_are_images(image_folder: Path) -> None:
    data = folder_data(image_folder)

    batches = list(FeatureLoader(data.train_dataloader(), MeanColours(key=None), views=1))

    for (images, _), (expected, _) in zip(batches, data.train_dataloader(), strict=True):
        assert torch.equal(images, expected)


def test_pictures_are_those_of_the_numbers(image_folder: Path) -> None:
    data = folder_data(image_folder)
    loader = FeatureLoader(data.val_dataloader(), MeanColours(), views=1)
    images = torch.cat([images for images, _ in data.val_dataloader()])

    assert torch.equal(loader.pictures(torch.tensor([3, 0])), images[[3, 0]].float())


@pytest.mark.parametrize("augment", [True, False])
def test_images_in_memory_have_views_only_if_they_are_augmented(tmp_path: Path, augment: bool) -> None:
    data = CIFAR10DataModule(str(make_cifar10(tmp_path, 4)), augment=augment, val_split=4)
    data.setup("fit")
    backbone = MeanColours()
    loader = FeatureLoader(data.train_dataloader(), backbone, views=3)

    of_features = epochs(loader, 3)

    for features, images in zip(of_features, epochs(data.train_dataloader(), 3), strict=True):
        assert_features_of(features, images)
    assert backbone.images == (3 * 16 if augment else 16)


def test_the_same_images_have_the_same_key_in_memory_too(tmp_path: Path) -> None:
    make_cifar10(tmp_path, 4)

    def key(**settings: Any) -> str:
        data = CIFAR10DataModule(str(tmp_path), **settings)
        data.setup("fit")
        return data_key(data.train_dataloader())

    assert key(augment=True) == key(augment=True)
    assert len({key(augment=True), key(), key(val_split=4)}) == 3


def test_an_unknown_augmentation_is_that_of_no_other_run(image_folder: Path) -> None:
    class Whole(RandomCrop):
        pass

    loader: Any = folder_data(image_folder).train_dataloader()
    loader.dataset.view = Whole(16)

    assert data_key(loader) != data_key(loader)


def test_joined_groups_have_no_repeats() -> None:
    groups = [torch.tensor(group) for group in ([1, 2], [], [3, 1], [4], [5, 6, 7])]

    assert [group.tolist() for group in joined(groups, 1)] == [[1, 2], [3], [4], [5, 6, 7]]
    assert [group.tolist() for group in joined(groups, 3)] == [[1, 2, 3], [4, 5, 6, 7]]
