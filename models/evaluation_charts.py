"""Charts of an evaluation: which classes are confused, and which images have the largest loss."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix


@runtime_checkable
class ChartLogger(Protocol):
    """A logger that takes charts, such as this project's AzureMLRunLogger."""

    def log_confusion_matrix(self, name: str, matrix: Any, class_labels: Sequence[str], step: int) -> None: ...

    def log_images(self, name: str, images: Any, captions: Sequence[str], step: int) -> None: ...


class EvaluationCharts(nn.Module):
    """Gathers the charts of one evaluation after the other; the last one is what is logged.

    Computing gathers from all processes, as torchmetrics do: each must call it.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self._classes = list(classes)
        self.confusion = MulticlassConfusionMatrix(len(classes), validate_args=False)
        self.most_wrong = MostWrong()
        self._computed: tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]] | None = None

    def add(self, images: Tensor, losses: Tensor, labels: Tensor, predicted: Tensor) -> None:
        """Images (B, 3, H, W), the loss of each (B,), labels (B,), predicted labels (B,)."""
        self.confusion.update(predicted, labels)
        self.most_wrong.update(images, losses, labels, predicted)

    def compute(self) -> None:
        """Keeps the charts of what was added since the last time."""
        self._computed = self.confusion.compute(), self.most_wrong.compute()
        self.confusion.reset()
        self.most_wrong.reset()

    def log(self, loggers: Iterable[object], stage: str, step: int) -> None:
        """Gives the charts kept last to those loggers that take charts, once."""
        computed, self._computed = self._computed, None
        if computed is None:
            return
        matrix, (losses, images, labels, predicted) = computed
        captions = [self._caption(*row) for row in zip(losses, labels, predicted, strict=True)]
        for logger in loggers:
            if isinstance(logger, ChartLogger):
                logger.log_confusion_matrix(f"{stage}_confusion_matrix", matrix.cpu().numpy(), self._classes, step)
                if captions:
                    logger.log_images(f"{stage}_most_wrong", _as_pictures(images), captions, step)

    def _caption(self, loss: Tensor, label: Tensor, predicted: Tensor) -> str:
        taken_for = f", taken for\n{self._classes[predicted]}" if predicted != label else ",\nrightly so"
        return f"{self._classes[label]}{taken_for} (loss {loss:.2g})"


def _as_pictures(images: Tensor) -> Any:
    """(N, 3, H, W) to (N, H, W, 3), each image by itself stretched to 0 to 1: how it was normalised isn't known."""
    low = images.amin((1, 2, 3), keepdim=True)
    high = images.amax((1, 2, 3), keepdim=True)
    shown = (images - low) / (high - low).clamp_min(torch.finfo(images.dtype).tiny)
    return shown.permute(0, 2, 3, 1).cpu().numpy()


SIDE = 96  # pixels; images of any size are kept at this one, so that what processes exchange has one shape


class MostWrong(Metric):
    """Keeps the ``count`` images with the largest loss, over all batches and processes.

    ``compute`` returns losses (N,), images (N, 3, 96, 96), true labels (N,) and predicted labels (N,), the worst
    first, N at most ``count``.
    """

    full_state_update = False
    losses: Tensor
    images: Tensor
    labels: Tensor
    predicted: Tensor

    def __init__(self, count: int = 12) -> None:
        super().__init__()
        self.count = count
        # a loss of -1 is a place that no image has taken yet
        self.add_state("losses", torch.full((count,), -1.0), dist_reduce_fx=None)
        self.add_state("images", torch.zeros(count, 3, SIDE, SIDE), dist_reduce_fx=None)
        self.add_state("labels", torch.zeros(count, dtype=torch.int64), dist_reduce_fx=None)
        self.add_state("predicted", torch.zeros(count, dtype=torch.int64), dist_reduce_fx=None)

    def update(self, images: Tensor, losses: Tensor, labels: Tensor, predicted: Tensor) -> None:
        """Images (B, 3, H, W), the loss of each (B,), labels (B,), predicted labels (B,)."""
        losses, worst = losses.float().topk(min(self.count, len(losses)))
        if losses[0] <= self.losses.min():
            return
        all_losses = torch.cat((self.losses, losses))
        self.losses, order = all_losses.topk(self.count)
        self.images = torch.cat((self.images, _at_one_size(images[worst])))[order]
        self.labels = torch.cat((self.labels, labels[worst]))[order]
        self.predicted = torch.cat((self.predicted, predicted[worst]))[order]

    def compute(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # with several processes the states have one more dimension in front, that of the processes
        losses, order = self.losses.flatten().topk(self.count)
        order = order[losses >= 0]
        images = self.images.reshape(-1, 3, SIDE, SIDE)
        return losses[losses >= 0], images[order], self.labels.flatten()[order], self.predicted.flatten()[order]


def _at_one_size(images: Tensor) -> Tensor:
    larger = max(images.shape[-2:]) > SIDE
    mode = "bilinear" if larger else "nearest"
    return functional.interpolate(images.float(), (SIDE, SIDE), mode=mode, antialias=larger)
