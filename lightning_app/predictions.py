"""The labels that a trained network gives, as a table."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor


def write_predictions(
    target: Path, folder: Path, paths: Sequence[Path], classes: Sequence[str], parts: Iterable[Sequence[Tensor]]
) -> int:
    """Writes ``file,label,probability``, a row an image in the order of ``paths``, and returns the number of rows.

    ``parts``, in any order, are of what ``predict_step`` returns: numbers of images, labels, probabilities, each (N,).
    """
    rows = sorted(row for part in parts for row in zip(*(column.tolist() for column in part), strict=True))
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.tmp")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "probability"])
        for number, label, probability in rows:
            table.writerow([paths[number].relative_to(folder), classes[label], f"{probability:.4f}"])
    unfinished.replace(target)
    return len(rows)
