"""Loss and accuracy over all training steps since they were last logged, at next to no cost a step."""

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

_FOLD_EVERY = 256  # steps; bounds what is kept, and spreads the metrics' own cost over many steps


class StepMetrics(nn.Module):
    """Keeps loss and predictions of each step as they are and folds them into torchmetrics now and then.

    A torchmetric's update is dozens of small operations; here it happens once in many steps instead of each step.
    Computing gathers from all processes, as torchmetrics do: each must call it at the same step.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")  # a loss that is no number must be seen, not left out
        self.accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self._losses: list[Tensor] = []
        self._predicted: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One step: scalar loss, logits (B, num_classes), labels (B,)."""
        self._losses.append(loss.detach())
        self._predicted.append(logits.detach().argmax(1))
        self._labels.append(labels)
        if len(self._losses) >= _FOLD_EVERY:
            self._fold()

    def mean_since_last(self) -> dict[str, Tensor]:
        """The mean loss over the steps and the share of images labelled right; starts anew afterwards."""
        self._fold()
        means = {"loss": self.loss.compute(), "accuracy": self.accuracy.compute()}
        self.loss.reset()
        self.accuracy.reset()
        return means

    def _fold(self) -> None:
        if self._losses:
            self.loss.update(torch.stack(self._losses))
            self.accuracy.update(torch.cat(self._predicted), torch.cat(self._labels))
            self._losses.clear()
            self._predicted.clear()
            self._labels.clear()
