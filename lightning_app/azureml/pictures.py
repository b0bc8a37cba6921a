"""Images of any kind as PIL images that PNG can hold and a browser shows."""

import logging
import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

log = logging.getLogger(__name__)

_CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
_IN_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_WITH_ALPHA = {"PA": "RGBA", "RGBa": "RGBA", "La": "LA"}
_ROUNDING = 1e-3  # by which a float may be outside 0 to 1
_EXPECTED = (
    "expected (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels, integers from 0 to 255, uint16 from 0 to 65535, "
    "or floats from 0 to 1"
)


def as_picture(image: Any) -> Image.Image:
    """One image.

    Args:
        image: A PIL image of any mode, the path of a file, or an array or tensor (H, W), (H, W, C) or (C, H, W). It is
            (H, W, C) wherever the last dimension is 1, 3 or 4. Integers are from 0 to 255, uint16 from 0 to 65535,
            floats from 0 to 1; NaN is drawn black.

    Raises:
        ValueError: It can't be read as an image.
    """
    if isinstance(image, str | os.PathLike):
        return _read(image)
    return _in_png(image) if isinstance(image, Image.Image) else _from_array(as_array(image))


def are_several(image: Any) -> bool:
    """Whether it is a list of images, or a batch of more than one."""
    if isinstance(image, list | tuple):
        first = image[0] if image else None
        return isinstance(first, Image.Image | str | os.PathLike) or getattr(first, "ndim", 0) >= 2
    return getattr(image, "ndim", 0) == 4 and len(image) != 1


def as_rgb(picture: Image.Image) -> Image.Image:
    """RGB, or RGBA where it is transparent; 16 bits become 8."""
    if picture.mode == "I;16":
        return _from_array(_eight_bits(np.asarray(picture))).convert("RGB")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def as_array(values: Any) -> NDArray[Any]:
    """An array from an array, a list, or a tensor on any device and of any type, also those that NumPy hasn't."""
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    tensor = values.detach().cpu()
    tensor = tensor.dequantize() if tensor.is_quantized else tensor
    tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
    # bfloat16 and the types of 8 bits aren't NumPy's
    found: NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy(force=True)
    return found


def _read(path: str | os.PathLike[str]) -> Image.Image:
    try:
        with Image.open(path) as opened:
            return _in_png(opened)
    except (OSError, SyntaxError) as error:  # Pillow's errors of damaged files
        raise ValueError(f"in {os.fspath(path)!r} can't be read ({error}); expected an image's path") from error


def _in_png(image: Image.Image) -> Image.Image:
    turned = ImageOps.exif_transpose(image)
    if turned.mode in _IN_PNG:
        return turned
    if turned.mode.startswith("I") or turned.mode == "F":  # whole numbers of more bits, and floats
        return _from_array(_sixteen_bits(np.asarray(turned)))
    try:
        return turned.convert(_WITH_ALPHA.get(turned.mode, "RGB"))
    except ValueError as error:
        raise ValueError(f"of mode {turned.mode}: can't be converted; expected RGB or another common mode") from error


def _from_array(array: NDArray[Any]) -> Image.Image:
    pixels = _channels_last(array)
    if pixels is None or not pixels.size or pixels.dtype.kind not in "biuf":
        raise ValueError(f"of shape {array.shape} and type {array.dtype}: {_EXPECTED}")
    if pixels.dtype == np.uint16:
        return Image.fromarray(pixels if pixels.ndim == 2 else _eight_bits(pixels))
    return Image.fromarray(_as_bytes(pixels, array.shape))


def _channels_last(array: NDArray[Any]) -> NDArray[Any] | None:
    """(H, W), or (H, W, C) with 3 or 4 channels; None for another shape."""
    image = array[0] if array.ndim == 4 and len(array) == 1 else array
    if image.ndim == 2:
        return np.ascontiguousarray(image)
    if image.ndim != 3 or (image.shape[-1] not in _CHANNELS and image.shape[0] not in _CHANNELS):
        return None
    image = image if image.shape[-1] in _CHANNELS else np.moveaxis(image, 0, -1)
    return np.ascontiguousarray(image[:, :, 0] if image.shape[-1] == 1 else image)


def _as_bytes(pixels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    largest, rounding = (1, _ROUNDING) if pixels.dtype.kind == "f" else (255, 0)
    if pixels.dtype.kind == "f" and np.isnan(pixels).any():
        log.warning("An image of shape %s has %s values that are NaN; they are drawn black.", shape, _count_nan(pixels))
        pixels = np.where(np.isnan(pixels), 0, pixels)
    low, high = pixels.min(), pixels.max()
    if low < -rounding or high > largest + rounding:
        raise ValueError(
            f"of shape {shape} and type {pixels.dtype}: {_EXPECTED}; found values from {low:.4g} to {high:.4g}"
        )
    return np.round(pixels.clip(0, largest) * (255 // largest)).astype(np.uint8)


def _count_nan(pixels: NDArray[Any]) -> str:
    return f"{int(np.isnan(pixels).sum()):,}"


def _eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return np.round(pixels / 257).astype(np.uint8)


def _sixteen_bits(pixels: NDArray[Any]) -> NDArray[Any]:
    """uint16 where whole numbers need it."""
    fits = pixels.dtype.kind in "iu" and 255 < pixels.max() <= 65535 and pixels.min() >= 0
    return pixels.astype(np.uint16) if fits or pixels.dtype.kind == "u" else pixels
