"""Batches of images in memory: normalisation, order and augmentation, compared with torchvision's."""

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from datamodules.in_memory import InMemoryLoader, ShiftAndFlip
from datamodules.sampling import EpochSampler
from tests.support.watched_loader import WatchedLoader

IMAGES = torch.randint(0, 256, (10, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(10)


def loader(transform: ShiftAndFlip | None = None, shuffle: bool = False) -> InMemoryLoader:
    sampler = EpochSampler(10, shuffle=shuffle)
    return InMemoryLoader(IMAGES, LABELS, batch_size=4, sampler=sampler, mean=0.5, std=0.5, transform=transform)


def test_a_batch_equals_the_result_of_torchvisions_transforms() -> None:
    tutorial = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3)])

    images = torch.cat([images for images, _ in loader()])

    torch.testing.assert_close(images, tutorial(IMAGES.permute(0, 3, 1, 2)), rtol=0, atol=1e-6)


def test_the_last_batch_has_the_remaining_images() -> None:
    assert [len(labels) for _, labels in loader()] == [4, 4, 2]
    assert len(loader()) == 3


def test_images_that_the_caller_has_dropped_are_gone_when_the_next_ones_are_made() -> None:
    images, labels = IMAGES.repeat(60, 1, 1, 1), LABELS.repeat(60)
    sampler = EpochSampler(600, shuffle=False)
    left: list[int] = []
    watched = WatchedLoader(left, images, labels, batch_size=128, sampler=sampler, mean=0.5, std=0.5)

    for batch in watched:
        del batch

    assert left == [0, 0, 0]


def test_images_and_labels_stay_together_when_shuffled() -> None:
    shuffled = loader(shuffle=True)
    shuffled.sampler.set_epoch(5)
    plain = torch.cat([images for images, _ in loader()])

    for images, labels in shuffled:
        assert torch.equal(images, plain[labels])


def test_augmentation_is_a_function_of_seed_epoch_and_image() -> None:
    indices = torch.tensor([7, 2, 9])
    whole = ShiftAndFlip(10, seed=1)(IMAGES, LABELS, epoch=3)

    assert torch.equal(ShiftAndFlip(10, seed=1)(IMAGES[indices], indices, epoch=3), whole[indices])
    assert not torch.equal(ShiftAndFlip(10, seed=1)(IMAGES, LABELS, epoch=4), whole)
    assert not torch.equal(ShiftAndFlip(10, seed=2)(IMAGES, LABELS, epoch=3), whole)


def test_augmentation_shifts_and_flips_as_torchvision_does() -> None:
    augment = ShiftAndFlip(10, seed=1)
    moved = augment(IMAGES, LABELS, epoch=0)

    for image, before, (y, x, flip) in zip(moved, IMAGES, augment._draws.tolist(), strict=True):
        expected = functional.crop(functional.pad(before.permute(2, 0, 1), [4]), 4 + y, 4 + x, 32, 32)
        expected = functional.horizontal_flip(expected) if flip else expected
        assert torch.equal(image.permute(2, 0, 1), expected)
    assert {flip for *_, flip in augment._draws.tolist()} == {0, 1}
