"""Whether an exported model computes what the network computes, on real images.

The network gets its images from the datamodule, as in a validation, so that a wrong normalisation is found as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datamodules.in_memory import InMemoryLoader
from datamodules.preprocessing import preprocessing_of
from lightning_app.command_line.trained import Trained
from lightning_app.errors import UsageError
from lightning_app.export.runtime import Run

TOLERANCE = 1e-4
"""Largest difference of a logit, as a share of the largest absolute logit.

A float32 has a relative precision of 1.2e-7. onnxruntime and torch add the products of a layer in different orders,
which differs by a few units of it per layer: 1e-6 to 1e-5 was measured for ResNets. An error in the exported network,
such as a wrong bias, changes the first digits.
"""
SIZES = (1, 7)  # batch sizes that are compared beside that of the images
_AT_A_TIME = 64  # images, of data in memory

Batch = tuple[Tensor, Tensor, Tensor]
"""The input of the exported model; the same images as the network gets them; labels int64 (B,)."""


@dataclass(frozen=True)
class Agreement:
    """How an exported model compares with the network.

    Args:
        images: How many were compared.
        split: ``validation`` or ``test``.
        largest_difference: Of a logit.
        largest_logit: The largest absolute one of the network.
        network_correct: Images that the network labels rightly.
        exported_correct: Images that the exported model labels rightly.
    """

    images: int
    split: str
    largest_difference: float
    largest_logit: float
    network_correct: int
    exported_correct: int


class ValidationImages:
    """The images with which an exported model is compared: those of the validation, or of the test if there are none.

    Args:
        trained: The network and its data.
        count: Number of images, from batches spread over the data; None: all.

    Raises:
        UsageError: There is no data, or it has no images.
    """

    def __init__(self, trained: Trained, count: int | None) -> None:
        data = trained.datamodule
        if data is None or not hasattr(data, "val_dataloader"):
            raise UsageError("export: the run has no datamodule, whose images an export is compared with; give --data")
        data.prepare_data()
        self._data, self._count = data, count
        self.takes_bytes = preprocessing_of(data) is not None
        self.split, self._loader = self._find()

    def __iter__(self) -> Iterator[Batch]:
        left = self._count
        for given, seen, labels in self._batches():
            taken = len(labels) if left is None else min(left, len(labels))
            yield given[:taken], seen[:taken], labels[:taken]
            if left is not None:
                left -= taken
                if left == 0:
                    return

    def _find(self) -> tuple[str, Any]:
        for split, stage, name in (("validation", "validate", "val"), ("test", "test", "test")):
            self._data.setup(stage)
            loader = getattr(self._data, f"{name}_dataloader")()
            if loader is not None and not isinstance(loader, list):
                return split, loader
        raise UsageError(
            "export: the data has neither validation nor test images to compare an export with; give --data_path"
        )

    def _batches(self) -> Iterator[Batch]:
        if isinstance(self._loader, InMemoryLoader):
            parts = -(-len(self._loader.images) // _AT_A_TIME)
            found: Any = self._loader.evaluated_bytes(_AT_A_TIME)
            yield from self._spread(found, parts, _AT_A_TIME)
            return
        chosen = self._spread(self._loader, len(self._loader), getattr(self._loader, "batch_size", 1) or 1)
        for images, labels in chosen:
            if not self.takes_bytes:
                yield images, images, labels
                continue
            seen, _ = self._data.on_after_batch_transfer((images, labels), 0)
            yield images, seen, labels

    def _spread(self, batches: Any, number: int, size: int) -> Iterator[Any]:
        """Every batch, or of many only every second or so; the order of folders is that of their classes."""
        needed = number if self._count is None else max(1, -(-self._count // size))
        every = max(1, number // needed)
        return (batch for index, batch in enumerate(batches) if index % every == 0)


@torch.inference_mode()
def compare(trained: Trained, run: Run, images: ValidationImages, tolerance: float) -> Agreement:
    """Compares an exported model with the network.

    Raises:
        UsageError: They differ by more than the tolerance, or in the label of an image.
    """
    count, difference, largest, right, exported_right, sized = 0, 0.0, 0.0, 0, 0, False
    for given, seen, labels in images:
        expected, found = trained.model(seen), run(given)
        if found.shape != expected.shape:
            raise _refused(f"its output is {tuple(found.shape)}, that of the network {tuple(expected.shape)}")
        if not torch.isfinite(expected).all():
            raise UsageError("export: the network's own outputs aren't finite numbers; give another checkpoint")
        largest = max(largest, float(expected.abs().max()))
        parts = [found, *([] if sized else _in_other_sizes(run, given))]
        sized = True
        for part in parts:
            own = float((part - expected[: len(part)]).abs().max())
            if not own <= tolerance * largest:  # also NaN
                raise _refused(
                    f"a logit differs by {own:.3g} where the largest logit is {largest:.3g}; "
                    f"--tolerance {tolerance:g} allows {tolerance * largest:.3g}"
                )
            difference = max(difference, own)
        labelled, predicted = expected.argmax(1), found.argmax(1)
        if not torch.equal(labelled, predicted):
            number = count + int((labelled != predicted).nonzero()[0, 0])
            raise _refused(f"image {number} of the {images.split} has another label than by the network")
        right += int((labelled == labels).sum())
        exported_right += int((predicted == labels).sum())
        count += len(labels)
    if count == 0:
        raise UsageError(f"export: the data has no {images.split} images to compare an export with; give --data_path")
    return Agreement(count, images.split, difference, largest, right, exported_right)


def _in_other_sizes(run: Run, images: Tensor) -> list[Tensor]:
    """Outputs for the first image alone, and for the first seven, or copies of them where there are fewer."""
    outputs = []
    for size in SIZES:
        repeated = images.repeat(-(-size // len(images)), *[1] * (images.dim() - 1))[:size]
        output = run(repeated)
        if len(output) != size:
            raise _refused(f"for {size} images it has {len(output)} outputs")
        outputs.append(output[: len(images)])
    return outputs


def _refused(why: str) -> UsageError:
    return UsageError(
        f"export refused: the exported model isn't the network: {why}; nothing is written; another --opset or "
        "--format, or another version of torch, may export it rightly"
    )
