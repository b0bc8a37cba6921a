"""What an evaluation leaves: its metrics by class, and charts of the confusion and of the most wrong images."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from models.evaluation_metrics import EvaluationMetrics, evaluation_content, overall_values

log = logging.getLogger(__name__)

Computed = tuple[Tensor, Tensor, list[str]]
"""The confusion matrix, int64 (C, C); the worst images (N, 3, 96, 96) and their captions."""


@runtime_checkable
class ChartLogger(Protocol):
    """A logger that accepts charts, such as this project's AzureMLRunLogger."""

    def log_confusion_matrix(self, name: str, matrix: Any, class_labels: Sequence[str], step: int) -> None: ...

    def log_images(self, name: str, images: Any, captions: Sequence[str], step: int) -> None: ...


@runtime_checkable
class EvaluationLogger(Protocol):
    """A logger that accepts all values of an evaluation, see ``evaluation_content``."""

    def log_evaluation(self, stage: str, evaluation: Mapping[str, Any], step: int) -> None: ...


class EvaluationCharts(nn.Module):
    """Computes the charts of each evaluation and its values by class; only those of the last one are logged.

    Computing gathers from all processes, as torchmetrics does: each process must call it.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self._classes = list(classes)
        self.confusion = MulticlassConfusionMatrix(len(classes), validate_args=False)
        self.most_wrong = MostWrong()
        self.metrics = EvaluationMetrics(len(classes))
        self.overall: dict[str, float] = {}  # see overall_values; of what was computed last
        self._more: dict[str, Tensor] = {}  # see EvaluationMetrics.compute
        self._computed: Computed | None = None
        self._not_shown: Tensor | None = None  # the indices of images in it in whose place there were features
        self._shown: dict[int, Tensor] = {}  # by index, such images that an earlier evaluation has shown
        self._order: Tensor | None = None
        self._batch_size = 0
        self._paths: Sequence[Path] = ()
        self._pictures: Callable[[Tensor], Tensor] | None = None

    def start(self, loader: Any) -> None:
        """Takes the order of the images and, where there are files, their names from the loader of an evaluation.

        A loader of features has the images as well, by their indices.
        """
        indices = getattr(getattr(loader, "sampler", None), "indices", None)
        self._order = indices() if callable(indices) else None  # None: not a loader of this project
        self._batch_size = getattr(loader, "batch_size", None) or 0
        self._paths = getattr(getattr(loader, "dataset", None), "paths", ())
        self._pictures = getattr(loader, "pictures", None)

    def add(self, images: Tensor, losses: Tensor, labels: Tensor, predicted: Tensor, batch_idx: int) -> None:
        """Adds images (B, 3, H, W), the loss of each (B,), labels (B,) and predicted labels (B,) of a batch.

        In place of the images there may be features (B, F).
        """
        self.confusion.update(predicted, labels)
        self.most_wrong.update(images, losses, labels, predicted, self._indices(batch_idx, labels))

    def add_logits(self, logits: Tensor, labels: Tensor) -> None:
        """Adds the logits (B, C) and the labels (B,) of a batch, for the metrics that need them."""
        self.metrics.add(logits, labels)

    def compute(self, metrics: EvaluationMetrics | None = None) -> None:
        """Computes the charts and the metrics of all images that were added since the last call.

        Other ``metrics`` than its own have the logits of these images where ``add_logits`` wasn't called.
        """
        images, *columns = self.most_wrong.compute()
        columns = [column.reshape(-1) for column in columns]  # torchmetrics makes scalars of those with one value
        captions = [self._caption(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
        self._computed = self.confusion.compute(), images, captions
        self._more = (metrics or self.metrics).compute()
        self.overall = overall_values(self._computed[0], self._more)
        self._not_shown = None if self._pictures is None else columns[-1]
        self.confusion.reset()
        self.most_wrong.reset()

    def log(self, loggers: Iterable[object], stage: str, step: int) -> None:
        """Logs what was computed last, once, with each logger that accepts it."""
        loggers = list(loggers)
        chart_loggers = [logger for logger in loggers if isinstance(logger, ChartLogger)]
        computed, self._computed = self._with_images() if chart_loggers else self._computed, None
        if computed is None:
            return
        matrix, images, captions = computed
        for each in [logger for logger in loggers if isinstance(logger, EvaluationLogger)]:
            each.log_evaluation(stage, evaluation_content(matrix, self._more, self._classes), step)
        for logger in chart_loggers:
            logger.log_confusion_matrix(f"{stage}_confusion_matrix", matrix.cpu().numpy(), self._classes, step)
            if captions:
                logger.log_images(f"{stage}_most_wrong", _as_pictures(images), captions, step)
        if chart_loggers and not captions:
            log.info("No picture of %s_most_wrong: all %s images are right.", stage, f"{int(matrix.sum()):,}")

    def resume_state(self) -> dict[str, Any]:
        """The charts of the last evaluation, which are logged when training ends; only rank 0 logs."""
        is_connected = torch.distributed.is_available() and torch.distributed.is_initialized()
        is_logged = self._computed is not None and not (is_connected and torch.distributed.get_rank() > 0)
        return {"computed": self._with_images() if is_logged else None, "more": self._more if is_logged else {}}

    def load_resume_state(self, state: dict[str, Any]) -> None:
        self._computed, self._not_shown = state["computed"], None
        self._more = state.get("more", {})  # checkpoints of earlier releases have none

    def merge_resume_states(self, states: Sequence[dict[str, Any]], rank: int) -> dict[str, Any]:
        return states[0] if rank == 0 else {"computed": None, "more": {}}

    def _with_images(self) -> Computed | None:
        """What was computed last, with the images that features have replaced; this process must have their loader."""
        if self._computed is not None and self._not_shown is not None:
            matrix, _, captions = self._computed
            self._computed, self._not_shown = (matrix, self._images(self._not_shown.cpu()), captions), None
        return self._computed

    def _images(self, indices: Tensor) -> Tensor:
        assert self._pictures is not None
        new = [number for number in indices.tolist() if number not in self._shown]
        if new:
            self._shown |= dict(zip(new, _resized(self._pictures(torch.tensor(new))), strict=True))
        shown = [self._shown[number] for number in indices.tolist()]
        self._shown = dict(zip(indices.tolist(), shown, strict=True))
        return torch.stack(shown) if shown else torch.zeros(0, 3, SIDE, SIDE)

    def _indices(self, batch_idx: int, labels: Tensor) -> Tensor:
        """The index of each image of a batch in its data set, int64 (B,); -1 where it isn't known."""
        if self._order is not None:
            start = batch_idx * self._batch_size
            indices = self._order[start : start + len(labels)].to(labels.device)
            if len(indices) == len(labels):
                return indices
        return torch.full_like(labels, -1)

    def _caption(self, loss: float, label: int, predicted: int, index: int) -> str:
        text = (
            f"{_shortened(self._classes[label])},\npredicted {_shortened(self._classes[predicted])} (loss {loss:.2g})"
        )
        if index < 0:
            return text
        return f"{_shortened(self._paths[index].name) if self._paths else f'image {index}'}\n{text}"


def _shortened(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else f"{name[: longest // 2 - 1]}…{name[-longest // 2 :]}"


def _as_pictures(images: Tensor) -> Any:
    """From (N, 3, H, W) to (N, H, W, 3), each image scaled to 0 to 1: its normalisation isn't known here."""
    low = images.amin((1, 2, 3), keepdim=True)
    high = images.amax((1, 2, 3), keepdim=True)
    scaled = (images - low) / (high - low).clamp_min(torch.finfo(images.dtype).tiny)
    return scaled.permute(0, 2, 3, 1).cpu().numpy()


SIDE = 96  # pixels; images are resized to this size, so that tensors of all processes have the same shape


class MostWrong(Metric):
    """Keeps the ``count`` wrongly classified images with the largest loss, over all batches and processes.

    ``compute`` returns images (N, 3, 96, 96), losses (N,), true labels (N,), predicted labels (N,) and the indices of
    the images in their data set (N,), the largest loss first; N is at most ``count``.
    """

    full_state_update = False
    losses: Tensor
    images: Tensor
    labels: Tensor
    predicted: Tensor
    indices: Tensor

    def __init__(self, count: int = 12) -> None:
        super().__init__()
        self.count = count
        # a loss of -1 marks an unused entry
        self.add_state("losses", torch.full((count,), -1.0), dist_reduce_fx=None)
        self.add_state("images", torch.zeros(count, 3, SIDE, SIDE), dist_reduce_fx=None)
        self.add_state("labels", torch.zeros(count, dtype=torch.int64), dist_reduce_fx=None)
        self.add_state("predicted", torch.zeros(count, dtype=torch.int64), dist_reduce_fx=None)
        self.add_state("indices", torch.zeros(count, dtype=torch.int64), dist_reduce_fx=None)

    def update(self, images: Tensor, losses: Tensor, labels: Tensor, predicted: Tensor, indices: Tensor) -> None:
        """Adds images (B, 3, H, W) and the loss, the label, the predicted label and the index of each, all (B,).

        With features (B, F) in place of the images, the images that are kept are black.
        """
        losses = losses.float().nan_to_num(nan=torch.inf).where(predicted != labels, -1.0)
        losses, worst = losses.topk(min(self.count, len(losses)))
        if losses[0] <= self.losses.min():
            return
        all_losses = torch.cat((self.losses, losses))
        self.losses, order = all_losses.topk(self.count)
        shown = _resized(images[worst]) if images.dim() == 4 else self.images.new_zeros(len(worst), 3, SIDE, SIDE)
        self.images = torch.cat((self.images, shown))[order]
        self.labels = torch.cat((self.labels, labels[worst]))[order]
        self.predicted = torch.cat((self.predicted, predicted[worst]))[order]
        self.indices = torch.cat((self.indices, indices[worst]))[order]

    def compute(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        # with several processes, the states have a first dimension for the process
        losses, order = self.losses.flatten().topk(self.count)
        order = order[losses >= 0]
        images = self.images.reshape(-1, 3, SIDE, SIDE)
        others = (self.labels.flatten()[order], self.predicted.flatten()[order], self.indices.flatten()[order])
        return images[order], losses[losses >= 0], *others


def _resized(images: Tensor) -> Tensor:
    larger = max(images.shape[-2:]) > SIDE
    mode = "bilinear" if larger else "nearest"
    return functional.interpolate(images.float(), (SIDE, SIDE), mode=mode, antialias=larger)
