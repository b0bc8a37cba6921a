"""Charts in the run folder: a JSON file each, from which they are delivered, and a picture where it is one."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_app.azureml.drawings import as_png, confusion_matrix_png, images_png
from lightning_app.azureml.pictures import are_several, as_array, as_picture
from lightning_app.azureml.plain_objects import to_plain
from lightning_app.azureml.plain_values import to_json_number

_UNSAFE_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_OWN_FILE_NAME = re.compile(r"[a-z0-9_][a-z0-9._-]{0,99}")  # others could become equal, if only where case is ignored
_IMAGES_IN_A_PICTURE = 64


class Charts:
    """Writes charts as ``NAME-stepN.json`` and ``NAME-stepN.png``; each file is written atomically.

    Another chart of the same name and step is ``NAME-stepN-2``; the same one again, as by a resumed run, isn't written.
    A name that isn't a file's name is changed and gets a hash.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def confusion_matrix(self, name: str, matrix: Any, class_labels: Iterable[Any] | None, step: Any) -> None:
        """``matrix``: (C, C), a row per true class, counts or shares, NaN for none; ``class_labels``: C names."""
        numbers = _as_matrix(name, matrix, None if class_labels is None else list(class_labels))
        labels = [str(label) for label in (range(len(numbers)) if class_labels is None else class_labels)]
        cells = [[None if np.isnan(number) else number for number in row] for row in numbers.tolist()]
        picture = confusion_matrix_png(numbers, labels, _title(name, step))
        self._save("confusion_matrix", name, step, {"class_labels": labels, "matrix": cells}, picture)

    def image(self, name: str, image: Any, step: Any) -> None:
        """``image``: a figure of matplotlib, or what ``as_picture`` accepts, or several of these."""
        if are_several(image):
            self.images(name, image, None, step)
            return
        self._save("image", name, step, {}, as_png(image if hasattr(image, "savefig") else _as_picture(name, image)))

    def images(self, name: str, images: Any, captions: Iterable[Any] | None, step: Any) -> None:
        """``images``: N of what ``as_picture`` accepts, or a batch of arrays; ``captions``: N texts, or None."""
        pictures = [_as_picture(name, image) for image in images]
        texts = [""] * len(pictures) if captions is None else [str(caption) for caption in captions]
        if not pictures or len(pictures) != len(texts):
            raise ValueError(
                f"images {name!r}: got {len(pictures)} images and {len(texts)} captions; expected N of each, at least 1"
            )
        for first in range(0, len(pictures), _IMAGES_IN_A_PICTURE):
            part = slice(first, first + _IMAGES_IN_A_PICTURE)
            self._save("image", name, step, {}, images_png(pictures[part], texts[part], _title(name, step)))

    def table(self, name: str, columns: Mapping[Any, Iterable[Any]], step: Any) -> None:
        """``columns``: the cells of each column, by its name; all columns have the same length."""
        plain = {column: [_cell(cell) for cell in cells] for column, cells in _by_text(columns).items()}
        if len({len(cells) for cells in plain.values()}) != 1:
            lengths = ", ".join(f"{column!r} {len(cells)}" for column, cells in plain.items()) or "none"
            raise ValueError(f"table {name!r}: expected columns of the same length; found {lengths}")
        self._save("table", name, step, {"columns": plain})

    def list(self, name: str, values: Iterable[Any], step: Any) -> None:
        """``values``: numbers or texts; others become plain."""
        if isinstance(values, str) or not hasattr(values, "__iter__") or getattr(values, "ndim", 1) == 0:
            raise ValueError(f"list {name!r}: got {type(values).__name__}; expected several values")
        self._save("list", name, step, {"values": [_cell(value) for value in values]})

    def _save(self, kind: str, name: str, step: Any, content: Mapping[str, Any], picture: bytes | None = None) -> None:
        chart: dict[str, Any] = {"kind": kind, "name": str(name), "step": _as_step(step), **content}
        if picture is not None:
            chart["sha256"] = hashlib.sha256(picture).hexdigest()
        self._folder.mkdir(parents=True, exist_ok=True)
        stem = _stem(str(name), chart["step"])
        for number in count(1):
            file = self._folder / f"{stem}{_number_suffix(number)}.json"
            if not file.exists():
                break
            if _is_same_chart(file, chart):
                return
        if picture is not None:
            chart["picture"] = f"{file.stem}.png"
            _write(file.with_name(chart["picture"]), picture)
        _write(file, (json.dumps(chart | ({"number": number} if number > 1 else {})) + "\n").encode())


def _by_text(columns: Any) -> dict[str, Any]:
    """By their names as texts; two that become equal are numbered."""
    named: dict[str, Any] = {}
    for name, cells in columns.items():
        text, number = str(to_plain(name)), 1
        while text in named:
            number += 1
            text = f"{to_plain(name)} ({number})"
        named[text] = cells
    return named


def _as_picture(name: str, image: Any) -> Any:
    try:
        return as_picture(image)
    except ValueError as error:
        raise ValueError(f"image {name!r} {error}") from error


def _as_matrix(name: str, matrix: Any, labels: Sequence[Any] | None) -> NDArray[Any]:
    """Whole numbers where all of them are, and not shares."""
    numbers = as_array(matrix)
    size = len(labels) if labels is not None else len(numbers) if numbers.ndim else 0
    if numbers.shape != (size, size) or not size:
        raise ValueError(
            f"confusion matrix {name!r}: has shape {numbers.shape}; expected {(size, size)}, a row and "
            "a column per class label"
        )
    numbers = numbers.astype(np.int64) if numbers.dtype.kind == "b" else numbers
    if numbers.dtype.kind not in "iuf" or (numbers < 0).any() or np.isinf(numbers).any():
        found = f" from {numbers.min()} to {numbers.max()}" if numbers.dtype.kind in "iuf" else ""
        raise ValueError(f"confusion matrix {name!r}: expected counts or shares, 0 or more; got {numbers.dtype}{found}")
    counts = numbers.dtype.kind == "f" and numbers.max() > 1 and (numbers == np.round(numbers)).all()
    return numbers.astype(np.int64) if counts else numbers


def _cell(value: Any) -> Any:
    plain = to_plain(value)
    return to_json_number(plain) if isinstance(plain, float) else plain


def _as_step(step: Any) -> int:
    return 0 if step is None else int(step)


def _number_suffix(number: int) -> str:
    return f"-{number}" if number > 1 else ""


def _title(name: str, step: Any) -> str:
    return f"{name}, step {_as_step(step):,}"


def _stem(name: str, step: int) -> str:
    if _OWN_FILE_NAME.fullmatch(name):
        return f"{name}-step{step}"
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{_UNSAFE_IN_FILE_NAMES.sub('_', name)[:90]}-{digest}-step{step}"


def _is_same_chart(file: Path, chart: Mapping[str, Any]) -> bool:
    try:
        found = json.loads(file.read_text())
    except ValueError:  # damaged
        return False
    return bool({key: found.get(key) for key in chart} == json.loads(json.dumps(chart)))


def _write(file: Path, content: bytes) -> None:
    unfinished = file.with_name(f".{file.name}.tmp")
    unfinished.write_bytes(content)
    unfinished.replace(file)
