"""A trained network, or an exported one, that gives pictures their labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.preprocessing import Preprocessing, preprocessing_of
from lightning_app.errors import UsageError
from lightning_app.export.description import read_description
from lightning_app.export.files import FILES, is_export
from lightning_app.export.runtime import Run, open_exported

Label = dict[str, Any]
"""``label`` and ``probability``."""


@dataclass(frozen=True)
class Scorer:
    """What is needed to answer a picture.

    Args:
        name: What is served, for people.
        classes: The names of the labels.
        preprocessing: From a picture to the input.
        run: From inputs uint8 (N, 3, H, W) to logits (N, classes).
    """

    name: str
    classes: Sequence[str]
    preprocessing: Preprocessing
    run: Run

    def score(self, pictures: Tensor) -> Tensor:
        """From uint8 (N, 3, H, W) to probabilities (N, classes)."""
        return self.run(pictures).float().softmax(1)

    def labels(self, probabilities: Tensor, top_k: int) -> list[Label]:
        """The most probable labels of a picture, from its probabilities (classes,)."""
        values, numbers = probabilities.topk(min(top_k, len(self.classes)))
        return [
            {"label": self.classes[number], "probability": round(value, 6)}
            for number, value in zip(numbers.tolist(), values.tolist(), strict=True)
        ]


def open_scorer(given: Path, threads: int = 0) -> Scorer:
    """Loads an exported model, a run folder or a checkpoint.

    Args:
        given: The folder of an exported model or a file in it, a run folder, or a checkpoint.
        threads: Of the processor, for one batch; 0: the choice of the library.

    Raises:
        UsageError: It can't be loaded, or doesn't say how a picture becomes its input.
    """
    folder = given.parent if given.name in FILES.values() else given
    if is_export(folder):
        found = read_description(folder)
        run = open_exported(folder / FILES[found.format], found.format, threads)
        name = f"{found.content.get('model')} ({found.format})"
        return Scorer(name, found.classes, _required(found.preprocessing, given), run)
    return _of_checkpoint(given, threads)


def _of_checkpoint(given: Path, threads: int) -> Scorer:
    from lightning_app.command_line.trained import trained  # it loads Lightning, which an exported model doesn't need

    found = trained("serve", given)
    preprocessing = _required(preprocessing_of(found.datamodule), given)
    if found.classes is None:
        raise UsageError(
            f"serve {str(given)!r}: neither the model nor its checkpoint names the classes; export it first"
        )
    if threads:
        torch.set_num_threads(threads)
    from lightning_app.export.network import ExportedNetwork

    network = ExportedNetwork(found.model, preprocessing).eval()

    def run(images: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = network(images)
        return logits

    return Scorer(type(found.model).__name__, found.classes, preprocessing, run)


def _required(preprocessing: Preprocessing | None, given: Path) -> Preprocessing:
    if preprocessing is None:
        raise UsageError(
            f"serve {str(given)!r}: its data doesn't say how a picture becomes an input; give its datamodule a "
            "property preprocessing, see datamodules.preprocessing"
        )
    return preprocessing
