"""From a request to pictures: what may be in it, and what is refused with which status of HTTP."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from datamodules.image_decoding import TooLargeImageError, UnreadableImageError
from datamodules.preprocessing import Preprocessing

_JSON = "application/json"
_RAW = ("image/", "application/octet-stream", "application/x-www-form-urlencoded")  # the last: curl --data-binary
EXPECTED = (
    'send the bytes of a picture with Content-Type image/jpeg or the like, or JSON: {"images": ["BASE64", ...], '
    '"top_k": 5}'
)


@dataclass(frozen=True)
class Limits:
    """What is refused.

    Args:
        bytes: Of a request.
        pixels: Of a picture; it is refused before it is decoded.
        pictures: In a request.
        top_k: Labels of a picture that are sent unless a request says how many.
    """

    bytes: int = 20_000_000
    pixels: int = 25_000_000
    pictures: int = 64
    top_k: int = 5


class RequestError(Exception):
    """A request that is refused, with a status of HTTP and a message in one line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """The files in a request, which may be anything, and how many labels each gets."""

    files: Sequence[bytes]
    top_k: int


class TooLongError(RequestError):
    """A request has more bytes than are allowed."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(413, f"the request has more than {limits.bytes:,} bytes; send smaller pictures, or fewer")


def parse(body: bytes, content_type: str, top_k: str | None, limits: Limits) -> Request:
    """The files in a request.

    Args:
        body: Of the request.
        content_type: Its header; empty for none.
        top_k: Of the address.
        limits: What is refused.

    Raises:
        RequestError: It isn't one of the forms that are expected.
    """
    if len(body) > limits.bytes:
        raise TooLongError(limits)
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _JSON or (not kind and body[:1] == b"{"):
        return _of_json(body, top_k, limits)
    if kind and not kind.startswith(_RAW):
        raise RequestError(415, f"Content-Type {kind[:60]!r}: {EXPECTED}")
    return Request([_required(body, 0)], _number(top_k, limits.top_k))


def read(file: bytes, number: int, preprocessing: Preprocessing, limits: Limits) -> Tensor:
    """From a file to the input of the network, uint8 (3, H, W).

    Raises:
        RequestError: It is no picture, damaged, or too large.
    """
    try:
        return preprocessing.read(file, limits.pixels)
    except TooLargeImageError as error:
        raise RequestError(413, f"picture {number}: {error}") from error
    except UnreadableImageError as error:
        status = 415 if "not recognised" in str(error) else 400
        raise RequestError(status, f"picture {number} can't be read: {error}") from error


def _of_json(body: bytes, top_k: str | None, limits: Limits) -> Request:
    try:
        content: Any = json.loads(body)
        encoded = content["images"]
        if not isinstance(encoded, list) or not encoded or not all(isinstance(text, str) for text in encoded):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RequestError(400, f"the body isn't the JSON that is expected; {EXPECTED}") from error
    if len(encoded) > limits.pictures:
        raise RequestError(413, f"the request has {len(encoded)} pictures; {limits.pictures} are allowed")
    wanted = content.get("top_k", top_k)
    files = [_decoded(text, number) for number, text in enumerate(encoded)]
    return Request(files, _number(wanted, limits.top_k))


def _decoded(text: str, number: int) -> bytes:
    try:
        return _required(base64.b64decode(text, validate=True), number)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, f"picture {number}: isn't base64") from error


def _required(file: bytes, number: int) -> bytes:
    if not file:
        raise RequestError(400, f"picture {number} is empty; {EXPECTED}")
    return file


def _number(given: Any, default: int) -> int:
    if given is None:
        return default
    number = int(given) if isinstance(given, str) and given.isdecimal() and len(given) < 10 else given
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise RequestError(400, f"top_k {str(given)[:40]!r}: expected a whole number of at least 1")
    return number
