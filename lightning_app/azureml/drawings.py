"""Figures of confusion matrices and of images with captions; matplotlib is imported when one is drawn."""

import io
import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightning_app.azureml.pictures import as_rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST_WITH_NUMBERS = 25  # classes; with more, the numbers would overlap
_MOST_LABELS = 40  # beside an axis
_LONGEST_LABEL = 24  # characters; a longer one would leave no room for the matrix
_LONGEST_TITLE = 60


def draw_confusion_matrix(matrix: NDArray[Any], labels: Sequence[str], title: str) -> "Figure":
    """``matrix``: (C, C), a row per true class; of counts, the colour shows the share of the row. NaN is left white."""
    from matplotlib.figure import Figure

    size = min(12.0, 3.5 + 0.5 * len(labels))
    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.add_subplot()
    colours = _colours(matrix)
    axes.imshow(colours, cmap="Blues", vmin=0, vmax=1)
    ticks = range(0, len(labels), -(-len(labels) // _MOST_LABELS))
    shown = [shortened(labels[tick], _LONGEST_LABEL) for tick in ticks]
    axes.set_xticks(ticks, shown, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_yticks(ticks, shown, parse_math=False)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(shortened(title, _LONGEST_TITLE), parse_math=False)
    if len(labels) <= _LARGEST_WITH_NUMBERS:
        for (row, column), number in np.ndenumerate(matrix):
            colour = "white" if colours[row, column] > 0.5 else "black"
            axes.text(column, row, _as_text(number), ha="center", va="center", color=colour)
    return figure


def draw_images(pictures: Sequence[Image.Image], captions: Sequence[str], title: str) -> "Figure":
    """Each picture gets its caption."""
    from matplotlib.figure import Figure

    columns = min(len(pictures), max(4, int(np.ceil(np.sqrt(len(pictures))))))
    rows = -(-len(pictures) // columns)
    width = max(2.2 * columns, 6.0)  # of the title
    figure = Figure(figsize=(width, 2.5 * rows + 0.5), layout="constrained")
    figure.suptitle(shortened(title, _LONGEST_TITLE), parse_math=False)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True), 1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(np.asarray(as_rgb(picture)))
        axes.set_axis_off()
        axes.set_title(caption, fontsize=9, parse_math=False)
    return figure


def confusion_matrix_png(matrix: NDArray[Any], labels: Sequence[str], title: str) -> bytes:
    """The file of ``draw_confusion_matrix``, which isn't drawn again for the next logger."""
    key = (matrix.dtype.str, matrix.shape, matrix.tobytes(), tuple(labels), title)
    return _drawn_once("confusion_matrix", key, lambda: draw_confusion_matrix(matrix, labels, title))


def images_png(pictures: Sequence[Image.Image], captions: Sequence[str], title: str) -> bytes:
    """The file of ``draw_images``, which isn't drawn again for the next logger."""
    pixels = tuple((picture.mode, picture.size, picture.tobytes()) for picture in pictures)
    return _drawn_once("images", (pixels, tuple(captions), title), lambda: draw_images(pictures, captions, title))


_last_drawn: dict[str, tuple[Hashable, bytes]] = {}  # by kind: what was drawn, and its file


def _drawn_once(kind: str, key: Hashable, draw: "Callable[[], Figure]") -> bytes:
    if kind not in _last_drawn or _last_drawn[kind][0] != key:
        _last_drawn[kind] = key, as_png(draw())
    return _last_drawn[kind][1]


def as_png(picture: Any) -> bytes:
    """The file of a PIL image, or of a figure of matplotlib."""
    file = io.BytesIO()
    if isinstance(picture, Image.Image):
        picture.save(file, "png")
    else:
        with warnings.catch_warnings():  # a character that the font hasn't is drawn as a box
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
            picture.savefig(file, format="png", dpi=120)
    return file.getvalue()


def shortened(text: str, longest: int) -> str:
    """Without its middle if it is too long: names of a set often differ at their ends only."""
    end = longest // 2
    return text if len(text) <= longest else f"{text[: longest - end - 1]}…{text[-end:]}"


def _colours(matrix: NDArray[Any]) -> NDArray[Any]:
    """From 0 to 1: the share of the row of counts; of shares, compared with the largest one."""
    largest = float(np.nan_to_num(matrix).max())
    if matrix.dtype.kind == "f" and largest <= 1:
        return matrix / (largest or 1)
    rows = np.nansum(matrix, 1, keepdims=True)
    shares: NDArray[Any] = matrix / np.where(rows > 0, rows, 1)
    return shares


def _as_text(number: Any) -> str:
    if np.isnan(number):
        return "none"
    if float(number).is_integer() and not (isinstance(number, np.floating) and number <= 1):
        return f"{int(number):,}"
    return f"{number:.2f}" if number <= 1 else f"{number:.4g}"
