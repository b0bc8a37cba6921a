"""Charts in the run folder: a JSON file each, from which they are delivered, and a picture where it is one."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightning_app.azureml.plain_objects import to_plain
from lightning_app.azureml.plain_values import to_json_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNSAFE_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


class Charts:
    """Writes charts as ``NAME-stepN.json`` and ``NAME-stepN.png``; each file is written atomically."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def confusion_matrix(self, name: str, matrix: Any, class_labels: Sequence[str], step: int) -> None:
        """``matrix``: counts, (C, C), a row per true class; ``class_labels``: C names."""
        counts = _as_array(matrix)
        size = len(class_labels)
        if counts.shape != (size, size):
            raise ValueError(
                f"confusion matrix {name!r}: has shape {counts.shape}; expected {(size, size)}, a row and "
                "a column per class label"
            )
        labels = [str(label) for label in class_labels]
        stem = self._stem(name, step)
        self._save_picture(stem, draw_confusion_matrix(counts, labels, f"{name}, step {step:,}"))
        content = {"class_labels": labels, "matrix": counts.astype(int).tolist()}
        self._save(stem, {"kind": "confusion_matrix", "name": name, "step": step} | content)

    def image(self, name: str, image: Any, step: int) -> None:
        """``image``: a PIL image, a matplotlib figure, an array or tensor (H, W) or (H, W, 3), or a picture's path.

        Arrays hold integers from 0 to 255 or floats from 0 to 1.
        """
        stem = self._stem(name, step)
        self._save_picture(stem, image)
        self._save(stem, {"kind": "image", "name": name, "step": step, "picture": f"{stem}.png"})

    def images(self, name: str, images: Any, captions: Sequence[str], step: int) -> None:
        """``images``: (N, H, W, 3), floats from 0 to 1; ``captions``: N strings."""
        pictures = _as_array(images)
        if pictures.ndim != 4 or pictures.shape[-1] != 3 or len(pictures) != len(captions) or not len(captions):
            raise ValueError(
                f"images {name!r}: have shape {pictures.shape} and {len(captions)} captions; expected (N, H, W, 3) and "
                "N captions, N at least 1"
            )
        self.image(name, draw_labelled_images(pictures, captions, f"{name}, step {step:,}"), step)

    def table(self, name: str, columns: Mapping[str, Sequence[Any]], step: int) -> None:
        """``columns``: the cells of each column, by its name; all columns have the same length."""
        plain = {str(column): [_cell(cell) for cell in cells] for column, cells in columns.items()}
        if len({len(cells) for cells in plain.values()}) != 1:
            lengths = ", ".join(f"{column!r} {len(cells)}" for column, cells in plain.items()) or "none"
            raise ValueError(f"table {name!r}: expected columns of the same length; found {lengths}")
        self._save(self._stem(name, step), {"kind": "table", "name": name, "step": step, "columns": plain})

    def list(self, name: str, values: Sequence[Any], step: int) -> None:
        """``values``: numbers or strings."""
        self._save(
            self._stem(name, step),
            {"kind": "list", "name": name, "step": step, "values": [_cell(value) for value in values]},
        )

    def _stem(self, name: str, step: int) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        return f"{_UNSAFE_IN_FILE_NAMES.sub('_', name)[:100]}-step{step}"

    def _save(self, stem: str, content: Mapping[str, Any]) -> None:
        unfinished = self._folder / f".{stem}.tmp"
        unfinished.write_text(json.dumps(content) + "\n")
        unfinished.replace(self._folder / f"{stem}.json")

    def _save_picture(self, stem: str, image: Any) -> None:
        target = self._folder / f"{stem}.png"
        if hasattr(image, "savefig"):
            image.savefig(target, dpi=120)
        elif isinstance(image, Image.Image):
            image.save(target)
        elif isinstance(image, str | os.PathLike):
            with Image.open(image) as opened:
                opened.save(target)
        else:
            Image.fromarray(_as_bytes(image)).save(target)


def _cell(value: Any) -> Any:
    plain = to_plain(value)
    return to_json_number(plain) if isinstance(plain, float) else plain


def _as_array(values: Any) -> NDArray[Any]:
    """An array from an array, a list, or a tensor on any device."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _as_bytes(image: Any) -> NDArray[np.uint8]:
    pixels = _as_array(image)
    largest = 1 if pixels.dtype.kind == "f" else 255
    right_shape = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] == 3)
    if not right_shape or not pixels.size or pixels.min() < 0 or pixels.max() > largest:
        raise ValueError(
            f"image of shape {pixels.shape} and type {pixels.dtype}: expected (H, W) or (H, W, 3), integers from "
            "0 to 255 or floats from 0 to 1"
        )
    return np.round(pixels * 255).astype(np.uint8) if largest == 1 else pixels.astype(np.uint8)


_LARGEST_WITH_NUMBERS = 25  # classes; with more, the numbers would overlap


def draw_confusion_matrix(counts: NDArray[Any], labels: Sequence[str], title: str) -> "Figure":
    """``counts``: (C, C), a row per true class; the colour shows the share of the row."""
    from matplotlib.figure import Figure

    size = min(12.0, 3.5 + 0.5 * len(labels))
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if len(labels) <= _LARGEST_WITH_NUMBERS:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{int(count):,}", ha="center", va="center", color=colour)
    return figure


def draw_labelled_images(images: NDArray[Any], captions: Sequence[str], title: str, columns: int = 4) -> "Figure":
    """``images``: (N, H, W, 3), floats from 0 to 1; each gets its caption."""
    from matplotlib.figure import Figure

    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2.2 * columns, 2.5 * rows + 0.5), layout="constrained")
    figure.suptitle(title)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True), 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(image)
        axes.set_axis_off()
        axes.set_title(caption, fontsize=9)
    return figure
