"""From an image file to RGB pixels. What is decoded here is a readable image, and nothing else is."""

import io
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from datamodules.validation import DataError

Image.init()
# no vector formats and others whose decoders start programs or are rarely tested; older versions of Pillow lack AVIF
_FORMATS = [
    name for name in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP") if name in Image.OPEN
]
MAX_PIXELS = 178_956_970
"""Larger images are no readable images: decoding one takes 0.7 GB and more. It is the limit of Pillow as well."""
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow warns from half of it on, and a program may make warnings errors
_TOO_LARGE = f"it has more than {MAX_PIXELS:,} pixels; make it smaller"
_LARGE = 2**24  # pixels
_one_large_image = threading.Lock()  # threads of one process decode large images one after the other

_UNSIGNED_16_BIT = {"I;16", "I;16L", "I;16B", "I;16N"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(Exception):
    """A file isn't a readable image; the message says why."""


def decode(path: Path) -> Image.Image:
    """The first frame of the image as RGB, rotated as its EXIF data says.

    Damaged metadata loses nothing but themselves. Of transparent pixels the colour is kept. 16 bits of a channel become
    their upper 8 bits.

    Raises:
        DataError: The file isn't a readable image.
    """
    try:
        return _decode_file(path)
    except UnreadableImageError as error:
        raise broken_image(path, str(error)) from error


def broken_image(path: Path, reason: str) -> DataError:
    return DataError(
        f"--data_path: {str(path)!r} is not a readable image ({reason}); remove it, or give --data.skip_broken true to "
        "leave out such files"
    )


def unreadable_reason(path: Path) -> str | None:
    """Why a file is no readable image, or None if it is one."""
    try:
        _decode_file(path)
    except UnreadableImageError as error:
        return str(error)
    return None


def _decode_file(path: Path) -> Image.Image:
    try:
        with path.open("rb") as file:
            try:
                return _decode(file)
            except UnreadableImageError:
                raise
            except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and more
                file.seek(0)
                pixels = _without_metadata(file.read())
                if pixels is None:
                    raise
                return _decode(io.BytesIO(pixels))
    except UnreadableImageError:
        raise
    except Exception as error:
        raise UnreadableImageError(_reason(error, path)) from error


def _decode(file: BinaryIO) -> Image.Image:
    with Image.open(file, formats=_FORMATS) as image:
        pixels = image.width * image.height
        if pixels > MAX_PIXELS:
            raise UnreadableImageError(_TOO_LARGE)
        with _one_large_image if pixels > _LARGE else nullcontext():
            image.load()
            return _turned(_as_rgb(image), _orientation(image))


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


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


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


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return _TOO_LARGE
    if isinstance(error, UnidentifiedImageError):
        return "the file is empty" if path.stat().st_size == 0 else "its image format is not recognised"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200] or type(error).__name__
