"""Decoding: formats, colour modes, depth, EXIF data and damage; what is decoded is readable, and nothing else."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin

from datamodules import DataError, image_decoding
from datamodules.image_decoding import decode, unreadable_reason

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")


def pixels(path: Path) -> NDArray[np.uint8]:
    return decode(path)


def noise(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.effect_noise(size, 80).convert(mode)


def two_halves(left: int, right: int, dtype: Any) -> NDArray[Any]:
    values = np.full((8, 8), left, dtype=dtype)
    values[:, 4:] = right
    return values


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "a.bmp", "a.webp", "a.tiff", "a.ppm", "a.gif"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_a_complete_file_is_readable_and_a_truncated_one_is_not(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    noise().save(path)
    assert unreadable_reason(path) is None
    assert decode(path).shape == (48, 64, 3)

    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    assert unreadable_reason(path)
    with pytest.raises(DataError, match="is not a readable image"):
        decode(path)


def test_damage_in_the_middle_of_a_png_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise().save(path)
    content = bytearray(path.read_bytes())
    middle = content.index(b"IDAT") + 1000
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)

    assert unreadable_reason(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_what_passes_the_check_can_be_decoded_and_nothing_else(tmp_path: Path, kind: str) -> None:
    """With damage at any place."""
    chance, path, verdicts = np.random.default_rng(0), tmp_path / "a.jpg", set()
    buffer = io.BytesIO()
    noise(size=(32, 24)).save(buffer, kind)
    for _ in range(60):
        content = bytearray(buffer.getvalue())
        for _ in range(chance.choice([1, 5, 30])):
            content[chance.integers(len(content))] = int(chance.integers(256))
        path.write_bytes(content)
        readable = unreadable_reason(path) is None
        verdicts.add(readable)
        if readable:
            assert decode(path).shape[2] == 3
            assert unreadable_reason(path) is None
        else:
            with pytest.raises(DataError):
                decode(path)
    assert False in verdicts


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"just words", "its image format is not recognised"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "its image format is not recognised"),
    ],
)
def test_a_file_that_is_no_image_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)

    assert unreadable_reason(tmp_path / "a.jpg") == reason


def test_data_after_an_image_is_accepted(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes() + b"trailer")

    assert unreadable_reason(tmp_path / "a.jpg") is None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_keeps_black_and_white_apart(tmp_path: Path, mode: str) -> None:
    halves = Image.fromarray(two_halves(10, 245, np.uint8))
    image = halves.convert("LA").convert("PA") if mode == "PA" else halves.convert("RGB").convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr", "PA") else "a.png")
    if mode == "PA":
        path = tmp_path / "a.png"
        image = halves.convert("P")
        image.info["transparency"] = bytes(range(256))
    image.save(path)

    found = pixels(path)

    assert found.shape == (8, 8, 3)
    assert found[0, 7].min() - int(found[0, 0].max()) > 200


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bits_keep_their_contrast(tmp_path: Path, name: str) -> None:
    values = two_halves(10_000, 40_000, np.uint16)
    Image.fromarray(values).save(tmp_path / name)
    big_endian = Image.frombytes("I;16B", (8, 8), values.astype(">u2").tobytes())
    big_endian.save(tmp_path / "big.tif")

    for path in (tmp_path / name, tmp_path / "big.tif"):
        found = pixels(path)
        assert (found[0, 0, 0], found[0, 7, 0]) == (10_000 // 256, 40_000 // 256)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (two_halves(100, 4_000, np.uint16), "its 16-bit values are from 100 to 4,000 of 65,535"),
        (two_halves(100, 70_000, np.int32), "its 32-bit whole numbers don't say what is black"),
        (two_halves(0, 1, np.float32), "its 32-bit floating-point numbers don't say what is black"),
    ],
)
def test_numbers_that_would_lose_their_contrast_are_refused(tmp_path: Path, values: Any, reason: str) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")

    assert (unreadable_reason(tmp_path / "a.tif") or "").startswith(reason)
    with pytest.raises(DataError, match=r"a\.tif' is not a readable image \(its .*convert it to 8"):
        decode(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.jpg"])
def test_the_first_frame_counts(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    kind = "MPO" if name == "a.jpg" else None
    frames[0].save(tmp_path / name, kind, save_all=True, append_images=frames[1:])

    red, _, blue = pixels(tmp_path / name)[4, 4]

    assert red > 240
    assert blue < 15


def test_an_image_above_the_limit_is_refused_each_time(tmp_path: Path) -> None:
    side = 13_400  # squared: above the limit, and below that of Pillow's error by a hair
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    assert side**2 > image_decoding.MAX_PIXELS
    buffer = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    buffer.seek(0, io.SEEK_END)
    for kind, data in ((b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")):
        PngImagePlugin.putchunk(buffer, kind, data)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())

    assert unreadable_reason(tmp_path / "a.png") == "it has more than 178,956,970 pixels; make it smaller"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_a_photograph_is_turned_as_its_exif_data_says(tmp_path: Path, name: str, orientation: int) -> None:
    image = Image.new("RGB", (32, 16), "red")
    image.paste("blue", (0, 0, 8, 8))  # the corner at the top left
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(tmp_path / name, exif=exif)

    found = pixels(tmp_path / name)

    assert found.shape[:2] == ((16, 32) if orientation < 5 else (32, 16))
    corners = {"top left": found[0, 0], "top right": found[0, -1], "bottom right": found[-1, -1],
               "bottom left": found[-1, 0]}  # fmt: skip
    places = ["top left", "top right", "bottom right", "bottom left", "top left", "top right", "bottom right",
              "bottom left"]  # fmt: skip
    assert corners[places[orientation - 1]][2] > 200


def metadata(content: bytes, kind: str) -> list[int]:
    """The positions of the bytes that hold metadata."""
    positions: list[int] = []
    start = {"JPEG": 2, "PNG": 8, "WEBP": 12}[kind]
    while start + 8 <= len(content) and content[start : start + 2] != b"\xff\xda":
        if kind == "JPEG":
            end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
            positions += range(start + 4, end) if content[start + 1] in (0xE1, 0xE2, 0xFE) else ()
        elif kind == "PNG":
            end = start + 12 + int.from_bytes(content[start : start + 4], "big")
            positions += range(start + 8, end) if content[start + 4 : start + 5].islower() else ()
        else:
            size = int.from_bytes(content[start + 4 : start + 8], "little")
            end = start + 8 + size + size % 2
            positions += range(start + 8, start + 8 + size) if content[start : start + 4] == b"EXIF" else ()
        start = end
    return positions


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_metadata_loses_no_image(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    exif[ExifTags.Base.Make], exif[ExifTags.Base.XResolution] = "Maker", 72.0
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.01
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "words" * 20, zip=True)
    buffer = io.BytesIO()
    noise(size=(32, 24)).save(buffer, kind, exif=exif, **({"pnginfo": info} if kind == "PNG" else {}))
    path, chance = tmp_path / "a.jpg", np.random.default_rng(1)
    path.write_bytes(buffer.getvalue())
    turned = pixels(path)
    allowed = {np.rot90(turned, turns)[:, ::flip].tobytes() for turns in range(4) for flip in (1, -1)}
    places = metadata(buffer.getvalue(), kind)
    assert len(places) > 50

    for _ in range(150):
        content = bytearray(buffer.getvalue())
        for _ in range(chance.choice([1, 3, 40])):
            content[chance.choice(places)] = int(chance.choice([0, 255, int(chance.integers(256))]))
        path.write_bytes(content)
        assert unreadable_reason(path) is None
        assert pixels(path).tobytes() in allowed


@pytest.mark.parametrize(
    "orientation", [b"\x00\x02\x00\x00\x00\x02AB\x00\x00", b"\x00\x03\x00\x00\xff\xff\x00\x06\x00\x00"]
)
def test_an_orientation_of_another_type_turns_nothing(tmp_path: Path, orientation: bytes) -> None:
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12" + orientation + b"\x00\x00\x00\x00"
    noise(size=(32, 24)).save(tmp_path / "a.jpg", exif=exif)

    assert decode(tmp_path / "a.jpg").shape == (24, 32, 3)


def test_much_metadata_loses_no_image(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.jpg", exif=b"Exif\x00\x00" + b"x" * 65_000)
    info = PngImagePlugin.PngInfo()
    info.add_text("note", "x" * 3_000_000, zip=True)  # more than Pillow reads
    noise().save(tmp_path / "a.png", pnginfo=info)

    assert unreadable_reason(tmp_path / "a.jpg") is None
    assert unreadable_reason(tmp_path / "a.png") is None


KINDS: dict[str, dict[str, Any]] = {
    "usual": {},
    "full colour": {"subsampling": 0},
    "half colour": {"subsampling": 1},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
    "low quality": {"quality": 5},
    "colours not converted": {"keep_rgb": True},
}


def as_pillow_decodes(path: Path, by: int) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        image.draft(None, (image.width // by, image.height // by))
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_file_has_the_pixels_that_pillow_finds(tmp_path: Path, mode: str, kind: str) -> None:
    for size in [(64, 48), (61, 47), (17, 130), (8, 8)]:
        image = Image.effect_noise(size, 80).resize((size[0] // 4, size[1] // 4)).resize(size)
        colours = Image.merge("RGB", [image, image.transpose(Image.Transpose.ROTATE_180), image])
        colours.convert(mode).save(tmp_path / "a.jpg", **KINDS[kind])

        for by in (1, 2, 4, 8):
            found = decode(tmp_path / "a.jpg", lambda width, height, by=by: by)  # type: ignore[misc]
            np.testing.assert_array_equal(found, as_pillow_decodes(tmp_path / "a.jpg", by))


@pytest.mark.parametrize("progressive", [False, True])
def test_of_a_damaged_jpeg_file_pillows_verdict_counts(tmp_path: Path, progressive: bool) -> None:
    chance, path, verdicts = np.random.default_rng(0), tmp_path / "a.jpg", set()
    buffer = io.BytesIO()
    noise(size=(64, 48)).save(buffer, "JPEG", progressive=progressive)
    for _ in range(150):
        content = bytearray(buffer.getvalue())
        for _ in range(chance.choice([1, 5])):
            content[chance.integers(len(content) // 2, len(content))] = int(chance.integers(256))
        path.write_bytes(content[: len(content) - int(chance.choice([0, 0, 0, 1, 2, 30]))])
        try:
            expected = as_pillow_decodes(path, 1)
        except (OSError, SyntaxError):
            assert unreadable_reason(path)
            verdicts.add(False)
        else:
            np.testing.assert_array_equal(decode(path), expected)
            verdicts.add(True)
    assert verdicts == {False, True}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_an_image_of_any_format_can_be_reduced(tmp_path: Path, name: str, orientation: int) -> None:
    image = Image.new("RGB", (83, 41), "white")
    image.paste("black", (0, 0, 40, 41))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(tmp_path / name, **({} if name == "a.gif" else {"exif": exif}))
    turned = orientation == 6 and name != "a.gif"

    for by in (1, 2, 4, 8):
        found = decode(tmp_path / name, lambda width, height, by=by: by)  # type: ignore[misc]
        width, height = -(-83 // by), -(-41 // by)
        assert found.shape == ((width, height, 3) if turned else (height, width, 3))
        assert found[0, 0].max() < 30
        assert found[-1, -1].min() > 225


def test_a_large_file_is_not_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise().save(tmp_path / "a.jpg")
    expected = decode(tmp_path / "a.jpg")
    monkeypatch.setattr(image_decoding, "_READ_AT_ONCE", 100)

    np.testing.assert_array_equal(decode(tmp_path / "a.jpg"), expected)
