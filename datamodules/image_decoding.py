"""From an image file to RGB pixels. What is decoded here is a readable image, and nothing else is.

JPEG files of the usual kinds are decoded by libjpeg-turbo, at once and straight into an array. All other files are
Pillow's, and so are JPEG files in which libjpeg-turbo finds anything unusual: Pillow's verdict on them counts. Both
are the same decoder with the same settings, so that the pixels don't depend on which of them has read a file.
"""

import io
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from datamodules.errors import DataError

Image.init()
# no vector formats and others whose decoders start programs or are rarely tested; older versions of Pillow lack AVIF
_FORMATS = [
    name for name in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP") if name in Image.OPEN
]
MAX_PIXELS = 178_956_970
"""Larger images are no readable images: decoding one takes 0.7 GB and more. It is the limit of Pillow as well."""
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow warns from half of it on, and a program may make warnings errors
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_LARGE = 2**24  # pixels
_READ_AT_ONCE = 2**26  # bytes; a larger file may be anything
_one_large_image = threading.Lock()  # threads of one process decode large images one after the other

Pixels = NDArray[np.uint8]
"""An RGB image, uint8 (H, W, 3)."""

Divisor = Callable[[int, int], int]
"""From width and height of an image to 1, 2, 4 or 8, by which both are divided when it is decoded."""

_UNSIGNED_16_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: np.rot90(pixels),
}
"""By the value of EXIF's orientation."""


class UnreadableImageError(Exception):
    """A file isn't a readable image; the message says why."""


class TooLargeImageError(UnreadableImageError):
    """An image has more pixels than are allowed."""


def full_size(width: int, height: int) -> int:
    """The ``Divisor`` that leaves an image as large as it is."""
    return 1


def decode(path: Path, divisor: Divisor = full_size, copy: Path | None = None) -> Pixels:
    """The first frame of the image as RGB, rotated as its EXIF data says.

    Damaged metadata loses nothing but themselves. Of transparent pixels the colour is kept. 16 bits of a channel become
    their upper 8 bits. A JPEG file becomes smaller in its cosine transform, which takes less time than decoding all of
    it; of other images, squares of pixels are averaged.

    Args:
        path: The file.
        divisor: How much smaller the image becomes.
        copy: A copy of the file, which is read in its place if it is whole.

    Raises:
        DataError: The file isn't a readable image.
    """
    try:
        return _decode_either(path, divisor, copy)
    except UnreadableImageError as error:
        raise broken_image(path, str(error)) from error


def broken_image(path: Path, reason: str) -> DataError:
    return DataError(
        f"--data_path: {str(path)!r} is not a readable image ({reason}); remove it, or give --data.skip_broken true to "
        "leave out such files"
    )


def unreadable_reason(
    path: Path,
    divisor: Divisor = full_size,
    copy: Path | None = None,
    use: Callable[[Pixels], None] = lambda pixels: None,
) -> str | None:
    """Why a file is no readable image, or None if it is one; then ``use`` gets its pixels."""
    try:
        pixels = _decode_either(path, divisor, copy)
    except UnreadableImageError as error:
        return str(error)
    use(pixels)
    return None


def _decode_either(path: Path, divisor: Divisor, copy: Path | None) -> Pixels:
    if copy is not None:
        with suppress(UnreadableImageError):
            return _decode_file(copy, divisor)
    return _decode_file(path, divisor)


def decode_bytes(content: bytes, divisor: Divisor = full_size, max_pixels: int = MAX_PIXELS) -> Pixels:
    """As ``decode``, for the content of a file.

    Raises:
        TooLargeImageError: The image has more pixels than ``max_pixels``; none of them has been decoded.
        UnreadableImageError: It isn't a readable image.
    """
    try:
        return _decode_either_way(io.BytesIO(content), divisor, max_pixels)
    except UnreadableImageError:
        raise
    except _BOMBS as error:  # Pillow's own limit, before the size can be seen here
        raise TooLargeImageError(_too_large(max_pixels)) from error
    except Exception as error:
        raise UnreadableImageError(_reason(error, len(content))) from error


def _decode_file(path: Path, divisor: Divisor) -> Pixels:
    try:
        with path.open("rb") as file:
            # at once: on a mount, each read may take milliseconds
            source = io.BytesIO(file.read()) if os.fstat(file.fileno()).st_size <= _READ_AT_ONCE else file
            return _decode_either_way(source, divisor, MAX_PIXELS)
    except UnreadableImageError:
        raise
    except Exception as error:
        size = path.stat().st_size if isinstance(error, UnidentifiedImageError) else -1
        raise UnreadableImageError(_reason(error, size)) from error


def _decode_either_way(source: BinaryIO, divisor: Divisor, max_pixels: int) -> Pixels:
    """As it is, or without its metadata, which may be damaged."""
    try:
        return _decode(source, divisor, max_pixels)
    except UnreadableImageError:
        raise
    except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
        source.seek(0)
        pixels = _without_metadata(source.read())
        if pixels is None:
            raise
        return _decode(io.BytesIO(pixels), divisor, max_pixels)


def _decode(source: BinaryIO, divisor: Divisor, max_pixels: int) -> Pixels:
    with Image.open(source, formats=_FORMATS) as image:
        count = image.width * image.height
        if count > max_pixels:
            raise TooLargeImageError(_too_large(max_pixels))
        with _one_large_image if count > _LARGE else nullcontext():
            by = divisor(*image.size)
            pixels = _decode_jpeg(source, image, by)
            if pixels is None:
                pixels = np.array(_load(image, by))
            orientation = _orientation(image)
    return np.ascontiguousarray(_TURNS[orientation](pixels)) if orientation in _TURNS else pixels


def _decode_jpeg(source: BinaryIO, image: Image.Image, by: int) -> Pixels | None:
    """The pixels, unless it is another format, an unusual kind of JPEG, or damaged."""
    usual = image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")
    if not usual or not isinstance(source, io.BytesIO):
        return None
    least = {} if by == 1 else {"min_width": -(-image.width // by), "min_height": -(-image.height // by)}
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(source.getvalue(), "RGB", **least)
    except ValueError:  # all that libjpeg-turbo warns of
        return None
    return pixels


def _load(image: Image.Image, by: int) -> Image.Image:
    size = image.size
    if by > 1:
        image.draft(None, (image.width // by, image.height // by))  # works for JPEG only
    image.load()
    rgb = _as_rgb(image)
    return rgb.reduce(by) if by > 1 and image.size == size else rgb


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _UNSIGNED_16_BIT or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _upper_byte(image)
    if image.mode in ("I", "F"):
        kind = "whole numbers" if image.mode == "I" else "floating-point numbers"
        raise UnreadableImageError(
            f"its 32-bit {kind} don't say what is black and what is white; convert it to 8 or 16 bits"
        )
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # Pillow warns of a palette with transparency if it becomes RGB at once
    return image.convert("RGB")


def _upper_byte(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < highest < 2**12:
        raise UnreadableImageError(
            f"its 16-bit values are from {lowest:,} to {highest:,} of 65,535, of which 8 bits would keep next to "
            "nothing; convert it to 8 bits"
        )
    return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")


def _orientation(image: Image.Image) -> int:
    """A camera stores the sensor's image and how to rotate it; 1, for no rotation, if that can't be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data; errors of as many kinds as in decoding
        return 1
    return orientation if isinstance(orientation, int) else 1


_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_JPEG_PIXELS = (0xE0, 0xEE)  # JFIF's and Adobe's segments say how the colours are stored


def _without_metadata(content: bytes) -> bytes | None:
    """The parts of a PNG or JPEG file that hold its pixels; None for another format, or if its parts can't be found."""
    if content.startswith(_PNG_START):
        return _png_without_metadata(content)
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg_without_metadata(content)
    return None


def _png_without_metadata(content: bytes) -> bytes:
    kept, position = [_PNG_START], len(_PNG_START)
    while position + 12 <= len(content):
        end = position + 12 + int.from_bytes(content[position : position + 4], "big")
        if content[position + 4 : position + 8] in _PNG_PIXELS:
            kept.append(content[position:end])
        position = end
    return b"".join(kept)


def _jpeg_without_metadata(content: bytes) -> bytes | None:
    kept, position = [content[:2]], 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker, end = content[position + 1], position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if marker == 0xDA:  # from here on it is pixels
            return b"".join([*kept, content[position:]])
        if marker in _JPEG_PIXELS or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(content[position:end])
        position = end
    return None


def _too_large(max_pixels: int) -> str:
    return f"it has more than {max_pixels:,} pixels; make it smaller"


def _reason(error: Exception, size: int) -> str:
    """Why a file of so many bytes can't be read; the number counts only where its format isn't recognised."""
    if isinstance(error, _BOMBS):
        return _too_large(MAX_PIXELS)
    if isinstance(error, UnidentifiedImageError):
        return "the file is empty" if size == 0 else "its image format is not recognised"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__
