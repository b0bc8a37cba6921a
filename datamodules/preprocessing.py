"""From the bytes of an image file to what a network is trained on: what a datamodule does, for other programs."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from datamodules.image_decoding import MAX_PIXELS, decode_bytes
from datamodules.views import CentreCrop, Squeezed, View

Resizing = Literal["centre_crop", "squeeze"]
_VIEWS: dict[str, type[CentreCrop] | type[Squeezed]] = {"centre_crop": CentreCrop, "squeeze": Squeezed}


@dataclass(frozen=True)
class Preprocessing:
    """How images become the input of a network.

    Args:
        size: Height and width of the input, in pixels.
        resizing: ``centre_crop``, the middle of the image after its shorter side has become a little longer than the
            input; or ``squeeze``, the whole image.
        mean: Mean of each channel, on a scale from 0 to 1.
        std: Standard deviation of each channel, on the same scale.
    """

    size: int
    resizing: Resizing
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def view(self) -> View:
        return _VIEWS[self.resizing](self.size)

    def read(self, content: bytes, max_pixels: int = MAX_PIXELS) -> Tensor:
        """From an image file to the pixels that the network sees, uint8 (3, size, size).

        Raises:
            TooLargeImageError: The image has more pixels than allowed.
            UnreadableImageError: It is no readable image.
        """
        view = self.view
        pixels = torch.from_numpy(decode_bytes(content, view.divisor, max_pixels))
        return view.finish(view.prepare(pixels), torch.Generator()).permute(2, 0, 1)


def preprocessing_of(datamodule: object) -> Preprocessing | None:
    """That of a datamodule; None for one that doesn't say it."""
    found: Any = getattr(datamodule, "preprocessing", None)
    return found if isinstance(found, Preprocessing) else None
