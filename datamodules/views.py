"""From a decoded image to the input of a network: what is the same in each epoch, and then what is drawn at random."""

import math
from typing import Protocol

from torch import Generator, Tensor, rand
from torchvision.transforms.v2 import functional

_LARGEST_DIVISOR = 8
_MOST_ELONGATED = 4  # sides as 1 to 4; of longer images, only the middle can be in a crop of the centre


class View(Protocol):
    """How a network sees an image."""

    def divisor(self, width: int, height: int) -> int:
        """By what the sides of an image may be divided when it is decoded: 1, 2, 4 or 8; see ``image_decoding``."""

    def prepare(self, image: Tensor) -> Tensor:
        """What is the same in each epoch: from uint8 (H, W, 3) to uint8 of another size."""

    def finish(self, image: Tensor, random: Generator) -> Tensor:
        """The rest: from the result of ``prepare`` to uint8 (height, width, 3) of the network's input."""


class RandomCrop:
    """A random part of the image with a random shape, and a random flip, as in torchvision's ``RandomResizedCrop``.

    The part has 8 to 100 % of the area, and its sides are as 3 to 4 up to 4 to 3.

    Args:
        size: Height and width of the result, in pixels.
    """

    AREA, RATIO, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10

    def __init__(self, size: int) -> None:
        self.size = size

    def divisor(self, width: int, height: int) -> int:
        # the shorter side of the smallest part keeps all the pixels that the result can have
        smallest = min(width, height, math.sqrt(self.AREA[0] * self.RATIO[0] * width * height))
        return _divisor(smallest, self.size)

    def prepare(self, image: Tensor) -> Tensor:
        return image

    def finish(self, image: Tensor, random: Generator) -> Tensor:
        *draws, flip = rand(2 * self.TRIES + 3, generator=random).tolist()
        top, left, height, width = self._part(image.shape[0], image.shape[1], draws)
        part = _resized(image[top : top + height, left : left + width], self.size, self.size)
        return part.flip(1) if flip < 0.5 else part

    def _part(self, height: int, width: int, draws: list[float]) -> tuple[int, int, int, int]:
        """Top, left, height and width of the part, from numbers between 0 and 1."""
        *sizes, down, right = draws
        lowest, highest = (math.log(ratio) for ratio in self.RATIO)
        for number in range(self.TRIES):
            area = height * width * (self.AREA[0] + sizes[2 * number] * (self.AREA[1] - self.AREA[0]))
            ratio = math.exp(lowest + sizes[2 * number + 1] * (highest - lowest))
            part_width, part_height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < part_width <= width and 0 < part_height <= height:
                return (
                    int(down * (height - part_height + 1)),
                    int(right * (width - part_width + 1)),
                    part_height,
                    part_width,
                )
        part_width = min(width, max(1, round(height * self.RATIO[1])))
        part_height = min(height, max(1, round(width / self.RATIO[0])))
        return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width


class CentreCrop:
    """The middle of the image, after its shorter side has become a little longer than the result; no randomness.

    Args:
        size: Height and width of the result, in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._shorter = round(size * 256 / 224)  # as in the tutorial

    def divisor(self, width: int, height: int) -> int:
        return _divisor(min(width, height), 2 * self._shorter)

    def prepare(self, image: Tensor) -> Tensor:
        image = middle(image)
        height, width = (int(self._shorter * side / min(image.shape[:2])) for side in image.shape[:2])
        resized = _resized(image, height, width)
        top, left = (round((side - self.size) / 2) for side in resized.shape[:2])
        return resized[top : top + self.size, left : left + self.size].contiguous()

    def finish(self, image: Tensor, random: Generator) -> Tensor:
        return image


class Squeezed:
    """The whole image, squeezed to a square; no randomness.

    Args:
        size: Height and width of the result, in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def divisor(self, width: int, height: int) -> int:
        return _divisor(min(width, height), 2 * self.size)

    def prepare(self, image: Tensor) -> Tensor:
        return _resized(image, self.size, self.size)

    def finish(self, image: Tensor, random: Generator) -> Tensor:
        return image


def middle(image: Tensor) -> Tensor:
    """The middle of a very long image (H, W, 3), whose shorter side couldn't be enlarged without filling the memory."""
    height, width = image.shape[:2]
    longest = _MOST_ELONGATED * min(width, height)
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image[top : height - top, left : width - left]


def _divisor(side: float, least: int) -> int:
    """The largest that leaves a side of at least so many pixels."""
    by = _LARGEST_DIVISOR
    while by > 1 and side < by * least:
        by //= 2
    return by


def _resized(image: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, with the pixels of Pillow's function of that name or one above or below them."""
    # of bytes in this order, torch has a vectorised version
    channels_first = image.contiguous().permute(2, 0, 1)
    resized: Tensor = functional.resize(channels_first, [height, width], antialias=True)
    return resized.permute(1, 2, 0)
