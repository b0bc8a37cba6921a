"""Pictures of charts, drawn with matplotlib, which is imported when the first one is drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST_WITH_NUMBERS = 25  # classes; beyond that the numbers would run into one another


def draw_confusion_matrix(counts: NDArray[Any], labels: Sequence[str], title: str) -> "Figure":
    """``counts``: (C, C), a row each true class; colours show the share of the row."""
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
    """``images``: (N, H, W, 3), from 0 to 1; a caption below each."""
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
