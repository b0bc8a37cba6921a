"""Charts of an evaluation: the confusion matrix and the images with the largest loss."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix


@runtime_checkable
class ChartLogger(Protocol):
    """A logger that accepts charts, such as this project's AzureMLRunLogger."""

    def log_confusion_matrix(self, name: str, matrix: Any, class_labels: Sequence[str], step: int) -> None: ...

    def log_images(self, name: str, images: Any, captions: Sequence[str], step: int) -> None: ...


class EvaluationCharts(nn.Module):
    """Computes the charts of each evaluation; only those of the last one are logged.

    Computing gathers from all processes, as torchmetrics does: each process must call it.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self._classes = list(classes)
        self.confusion = MulticlassConfusionMatrix(len(classes), validate_args=False)
        self.most_wrong = MostWrong()
        self._computed: tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]] | None = None

    def add(self, images: Tensor, losses: Tensor, labels: Tensor, predicted: Tensor) -> None:
        """Adds images (B, 3, H, W), the loss of each (B,), labels (B,) and predicted labels (B,)."""
        self.confusion.update(predicted, labels)
        self.most_wrong.update(images, losses, labels, predicted)

    def compute(self) -> None:
        """Computes the charts of all images that were added since the last call."""
        self._computed = self.confusion.compute(), self.most_wrong.compute()
        self.confusion.reset()
        self.most_wrong.reset()

    def log(self, loggers: Iterable[object], stage: str, step: int) -> None:
        """Logs the charts that were computed last, once, with each logger that accepts charts."""
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
        result = "correct" if predicted == label else f"predicted {self._classes[predicted]}"
        return f"{self._classes[label]},\n{result} (loss {loss:.2g})"


def _as_pictures(images: Tensor) -> Any:
    """From (N, 3, H, W) to (N, H, W, 3), each image scaled to 0 to 1: its normalisation isn't known here."""
    low = images.amin((1, 2, 3), keepdim=True)
    high = images.amax((1, 2, 3), keepdim=True)
    scaled = (images - low) / (high - low).clamp_min(torch.finfo(images.dtype).tiny)
    return scaled.permute(0, 2, 3, 1).cpu().numpy()


SIDE = 96  # pixels; images are resized to this size, so that tensors of all processes have the same shape


class MostWrong(Metric):
    """Keeps the ``count`` images with the largest loss, over all batches and processes.

    ``compute`` returns losses (N,), images (N, 3, 96, 96), true labels (N,) and predicted labels (N,), the
    largest loss first; N is at most ``count``.
    """

    full_state_update = False
    losses: Tensor
    images: Tensor
    labels: Tensor
    predicted: Tensor

    def __init__(self, count: int = 12) -> None:
        super().__init__()
        self.count = count
        # a loss of -1 marks an unused entry
        self.add_state("losses", torch.full((count,), -1.0), dist_reduce_fx=None)
        self.add_state("images", torch.zeros(count, 3, SIDE, SIDE), dist_reduce_fx=None)
        self.add_state("labels", torch.zeros(count, dtype=torch.int64), dist_reduce_fx=None)
        self.add_state("predicted", torch.zeros(count, dtype=torch.int64), dist_reduce_fx=None)

    def update(self, images: Tensor, losses: Tensor, labels: Tensor, predicted: Tensor) -> None:
        """Adds images (B, 3, H, W), the loss of each (B,), labels (B,) and predicted labels (B,)."""
        losses, worst = losses.float().topk(min(self.count, len(losses)))
        if losses[0] <= self.losses.min():
            return
        all_losses = torch.cat((self.losses, losses))
        self.losses, order = all_losses.topk(self.count)
        self.images = torch.cat((self.images, _resized(images[worst])))[order]
        self.labels = torch.cat((self.labels, labels[worst]))[order]
        self.predicted = torch.cat((self.predicted, predicted[worst]))[order]

    def compute(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # with several processes, the states have a first dimension for the process
        losses, order = self.losses.flatten().topk(self.count)
        order = order[losses >= 0]
        images = self.images.reshape(-1, 3, SIDE, SIDE)
        return losses[losses >= 0], images[order], self.labels.flatten()[order], self.predicted.flatten()[order]


def _resized(images: Tensor) -> Tensor:
    larger = max(images.shape[-2:]) > SIDE
    mode = "bilinear" if larger else "nearest"
    return functional.interpolate(images.float(), (SIDE, SIDE), mode=mode, antialias=larger)
