"""The labels that a trained network gives, as a table."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor


def write_predictions(
    target: Path, folder: Path, paths: Sequence[Path], classes: Sequence[str], batches: Iterable[tuple[Tensor, ...]]
) -> int:
    """Writes ``file,label,probability``, a row an image in the order of ``paths``, and returns the number of rows.

    ``batches`` are what ``predict_step`` returned: numbers of the images, labels and probabilities, each (B,).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.tmp")
    count = 0
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "probability"])
        for numbers, labels, probabilities in batches:
            for number, label, probability in zip(
                numbers.tolist(), labels.tolist(), probabilities.tolist(), strict=True
            ):
                table.writerow([paths[number].relative_to(folder), classes[label], f"{probability:.4f}"])
                count += 1
    unfinished.replace(target)
    return count
