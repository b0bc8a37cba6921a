"""What a network sees of an image: parts as torchvision draws them, pixels as Pillow computes them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from datamodules.image_decoding import decode
from datamodules.sampling import stream
from datamodules.views import CentreCrop, RandomCrop, Squeezed, View


def photograph(width: int, height: int) -> Image.Image:
    """Waves of many lengths with some noise, as smooth and as sharp as a photograph."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    waves = sum(np.sin(2 * np.pi * n * (x * np.cos(n) + y * np.sin(n)) + n) / n for n in (1, 2, 3, 5, 8, 13, 21, 34))
    noise = np.random.default_rng(0).normal(0, 3, (height, width, 3))
    channels = np.stack([waves, waves * 0.5, -waves], axis=2) * 60 + 128 + noise
    return Image.fromarray(channels.clip(0, 255).astype(np.uint8))


def as_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image))


def differences(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one.int() - other.int()).abs()


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (90, 70), (280, 70)])
def test_the_middle_of_an_image_has_the_pixels_of_torchvisions_transforms(size: tuple[int, int]) -> None:
    image = photograph(*size)
    theirs = v2.Compose([v2.Resize(73), v2.CenterCrop(64), v2.PILToTensor()])(image)

    ours = CentreCrop(64).prepare(as_tensor(image))

    assert differences(ours.permute(2, 0, 1), theirs).max() <= 1


def test_a_whole_image_has_the_pixels_of_torchvisions_transforms() -> None:
    image = photograph(60, 90)

    ours = Squeezed(32).prepare(as_tensor(image)).permute(2, 0, 1)

    assert differences(ours, v2.Compose([v2.Resize((32, 32)), v2.PILToTensor()])(image)).max() <= 1


def test_a_random_part_has_the_pixels_of_pillow() -> None:
    image, view = photograph(300, 200), RandomCrop(64)

    for epoch in range(20):
        draws = torch.rand(23, generator=stream(0, epoch, 7)).tolist()
        top, left, height, width = view._part(200, 300, draws[:-1])
        part = image.crop((left, top, left + width, top + height)).resize((64, 64), Image.Resampling.BILINEAR)
        if draws[-1] < 0.5:
            part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert differences(view.finish(as_tensor(image), stream(0, epoch, 7)), as_tensor(part)).max() <= 1


@pytest.mark.parametrize("size", [(300, 200), (200, 200), (64, 300), (1, 1), (1000, 3)])
def test_random_parts_are_distributed_as_torchvisions(size: tuple[int, int]) -> None:
    (width, height), view = size, RandomCrop(8)
    image = torch.zeros(3, height, width)
    torch.manual_seed(0)
    drawn = [v2.RandomResizedCrop(8).make_params([image]) for _ in range(2_000)]
    theirs = torch.tensor([[each[name] for name in ("top", "left", "height", "width")] for each in drawn]).float()

    random = stream(0)
    ours = torch.tensor(
        [view._part(height, width, torch.rand(22, generator=random).tolist()) for _ in range(2_000)]
    ).float()

    assert (ours >= 0).all()
    assert ((ours[:, 0] + ours[:, 2]) <= height).all()
    assert ((ours[:, 1] + ours[:, 3]) <= width).all()
    spread = theirs.std(0) / 2_000**0.5 + 0.01
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 5 * 2**0.5 * spread).all()
    assert ((ours.std(0) - theirs.std(0)).abs() < 5 * 2**0.5 * spread).all()


def test_half_of_the_parts_are_flipped() -> None:
    ramp = torch.arange(200, dtype=torch.uint8).expand(200, 200)[..., None].expand(200, 200, 3)

    seen = [RandomCrop(16).finish(ramp, stream(0, 0, number)) for number in range(400)]

    flipped = sum(bool(image[0, 0, 0] > image[0, -1, 0]) for image in seen)
    assert 150 < flipped < 250


@pytest.mark.parametrize("view", [RandomCrop(224), CentreCrop(224), Squeezed(224)])
def test_an_image_is_reduced_only_as_far_as_no_pixel_of_the_result_is_lost(view: View) -> None:
    for width in (1, 100, 224, 256, 500, 915, 1_000, 2_000, 4_000, 30_000):
        for height in (1, 100, 224, 1_000, 2_000, 4_000, 30_000):
            by = view.divisor(width, height)
            assert by in (1, 2, 4, 8)
            least = {RandomCrop: 224, CentreCrop: 512, Squeezed: 448}[type(view)]
            assert by == 1 or min(width, height) / by >= least
            if by > 1 and isinstance(view, RandomCrop):
                smallest = min(width, height, (0.08 * width * height * 3 / 4) ** 0.5)
                assert smallest / by >= 224


@pytest.mark.parametrize("view", [RandomCrop(64), CentreCrop(64), Squeezed(64)])
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_reduced_image_looks_like_the_whole_one(tmp_path: Path, view: View, name: str) -> None:
    photograph(1_200, 900).save(tmp_path / name)
    assert view.divisor(1_200, 900) > 1

    def seen(divisor: Callable[[int, int], int]) -> torch.Tensor:
        image = view.prepare(torch.from_numpy(decode(tmp_path / name, divisor)))
        return torch.stack([view.finish(image, stream(0, epoch)) for epoch in range(8)])

    reduced, whole = seen(view.divisor), seen(lambda width, height: 1)

    assert differences(reduced, whole).float().mean() < 2  # of 255
