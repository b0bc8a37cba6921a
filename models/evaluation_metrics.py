"""What an evaluation measures beside loss and accuracy: top-5 accuracy, calibration, and the values of each class."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

TOP = 5
BINS = 15  # intervals of the expected calibration error, as in Guo et al., 2017 (arXiv:1706.04599)
_CONFIDENCE = 0.95
_Z = 1.959963984540054  # of the normal distribution, for this confidence
_UNITS = 2**30  # of a probability
_IMAGES_AT_A_TIME = 512  # whose logits are looked at together: for a few, the calls take longer than the work


class EvaluationMetrics(nn.Module):
    """Top-5 accuracy, where there are more than five classes, and calibration of an evaluation.

    Computing gathers from all processes, as torchmetrics does: each process must call it.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self._num_classes = num_classes
        self.top5: MulticlassAccuracy | None = None
        if num_classes > TOP:
            self.top5 = MulticlassAccuracy(num_classes, average="micro", top_k=TOP, validate_args=False)
        self.calibration = Calibration()
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._waiting_images = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Adds the logits (B, num_classes) and the labels (B,) of a batch."""
        self._waiting.append((logits.detach(), labels))
        self._waiting_images += len(labels)
        if self._waiting_images >= _IMAGES_AT_A_TIME:
            self._update()

    def compute(self) -> dict[str, Tensor]:
        """Of all images since the last call; both are missing where no logits were added.

        ``top5``: the accuracy, a scalar. ``calibration``: see ``Calibration``.
        """
        self._update()
        if not self.calibration.update_called:  # torchmetrics warns of a metric without an update
            self._pass(*self._no_images())
        computed: dict[str, Tensor] = {}
        counts = self.calibration.compute()
        if counts.sum():
            computed["calibration"] = counts
            if self.top5 is not None:
                computed["top5"] = self.top5.compute()
        self.reset()
        return computed

    def reset(self) -> None:
        """Forgets the images since the last call."""
        self._waiting.clear()
        self._waiting_images = 0
        self.calibration.reset()
        if self.top5 is not None:
            self.top5.reset()

    def _update(self) -> None:
        if not self._waiting:
            return
        logits, labels = (torch.cat(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting.clear()
        self._waiting_images = 0
        self._pass(logits, labels)

    def _no_images(self) -> tuple[Tensor, Tensor]:
        device = self.calibration.device
        return torch.zeros(0, self._num_classes, device=device), torch.zeros(0, dtype=torch.int64, device=device)

    def _pass(self, logits: Tensor, labels: Tensor) -> None:
        self.calibration.update(logits, labels)
        if self.top5 is not None and len(labels):
            self.top5.update(logits, labels)


class Calibration(Metric):
    """Counts the images by the probability of their predicted label, in ``BINS`` intervals of equal width.

    An interval includes its upper end. ``compute`` returns, int64 (3, BINS): the images of each interval, how many of
    them are right, and the sum of their probabilities in units of 2**-30. Whole numbers have the same sum in any order,
    and on any number of processes. torchmetrics' ``MulticlassCalibrationError`` keeps two numbers for each image, and
    doesn't return the intervals.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(3, BINS, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Adds logits (B, C) and labels (B,)."""
        probability, predicted = logits.float().softmax(1).nan_to_num(0.0).max(1)
        ends = torch.linspace(0, 1, BINS + 1, device=logits.device)[1:-1]
        columns = torch.stack(
            [torch.ones_like(labels), (predicted == labels).long(), (probability * _UNITS).round().long()]
        )
        self.counts.index_add_(1, torch.bucketize(probability, ends), columns)

    def compute(self) -> Tensor:
        return self.counts.clone()


def overall_values(confusion: Tensor, more: Mapping[str, Tensor]) -> dict[str, float]:
    """The numbers that describe an evaluation as a whole, by their names; none without images.

    Args:
        confusion: Images, int64 (C, C), a row per true class, a column per predicted class.
        more: What ``EvaluationMetrics`` has computed.
    """
    matrix = confusion.cpu().double()
    right, true, predicted = matrix.diag(), matrix.sum(1), matrix.sum(0)
    count = int(matrix.sum())
    if not count:
        return {}
    is_there, is_used = true > 0, true + predicted > 0
    values = {
        "macro_f1": float((2 * right[is_used] / (true + predicted)[is_used]).mean()),
        "balanced_accuracy": float((right[is_there] / true[is_there]).mean()),
    }
    if "top5" in more:
        values["top5_accuracy"] = round(float(more["top5"] * count)) / count  # torchmetrics' share is a float32
    if "calibration" in more:
        images, correct, summed = more["calibration"].cpu().double()
        values["calibration_error"] = float((correct - summed / _UNITS).abs().sum() / images.sum())
    return values


def evaluation_content(confusion: Tensor, more: Mapping[str, Tensor], classes: Sequence[str]) -> dict[str, Any]:
    """All values of an evaluation, as plain objects for a file; the arguments are those of ``overall_values``.

    A precision without predicted images, a recall without images and an F1 without both are 0, as in scikit-learn.
    ``low`` and ``high`` are the ends of the 95 % Wilson interval.
    """
    matrix = confusion.cpu()
    count, overall = int(matrix.sum()), overall_values(confusion, more)
    content: dict[str, Any] = {"images": count, "confidence": _CONFIDENCE}
    content["accuracy"] = _share(int(matrix.diag().sum()), count)
    if (top5 := overall.pop("top5_accuracy", None)) is not None:
        content["top5_accuracy"] = _share(round(top5 * count), count)
    content |= overall
    numbers = zip(classes, matrix.diag().tolist(), matrix.sum(1).tolist(), matrix.sum(0).tolist(), strict=True)
    content["classes"] = [_class_values(*row) for row in numbers]
    if "calibration" in more:
        content["calibration"] = _intervals(more["calibration"].cpu())
    return content


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """The ends of the 95 % confidence interval of a share (Wilson, 1927); 0 and 1 for no trials."""
    if not count:
        return 0.0, 1.0
    share, spread = successes / count, _Z**2 / count
    middle = share + spread / 2
    half = math.sqrt(spread * (share * (1 - share) + spread / 4))
    low = 0.0 if successes == 0 else (middle - half) / (1 + spread)
    high = 1.0 if successes == count else (middle + half) / (1 + spread)
    return low, high


def _share(successes: int, count: int) -> dict[str, float]:
    low, high = wilson_interval(successes, count)
    return {"value": successes / count if count else 0.0, "low": low, "high": high, "right": successes}


def _class_values(name: str, right: int, true: int, predicted: int) -> dict[str, Any]:
    low, high = wilson_interval(right, true)
    return {
        "class": name,
        "precision": right / predicted if predicted else 0.0,
        "recall": right / true if true else 0.0,
        "recall_low": low,
        "recall_high": high,
        "f1": 2 * right / (true + predicted) if true + predicted else 0.0,
        "support": true,
        "predicted": predicted,
    }


def _intervals(counts: Tensor) -> list[dict[str, Any]]:
    """The intervals that have images."""
    rows = enumerate(zip(*counts.tolist(), strict=True))
    return [
        {
            "above": index / BINS,
            "to": (index + 1) / BINS,
            "images": images,
            "confidence": summed / _UNITS / images,
            "accuracy": right / images,
        }
        for index, (images, right, summed) in rows
        if images
    ]
