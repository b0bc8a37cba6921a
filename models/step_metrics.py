"""Loss and accuracy over all training steps since they were last logged, at almost no cost per step."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

Quantity = Literal["loss", "accuracy"]

_UPDATE_INTERVAL = 256  # steps; limits the memory, and spreads the cost of the metrics over many steps


class StepMetrics(nn.Module):
    """Keeps the loss and the predictions of each step and passes them to torchmetrics once in many steps.

    The update of a torchmetric is dozens of small operations, too many for each step. Computing gathers from all
    processes, as torchmetrics does: each process must call it at the same step.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")  # a NaN must be visible in the mean, not left out
        self.accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self._losses: list[Tensor] = []
        self._predicted: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One step: scalar loss, logits (B, num_classes), labels (B,)."""
        self._losses.append(loss.detach())
        self._predicted.append(logits.detach().argmax(1))
        self._labels.append(labels)
        if len(self._losses) >= _UPDATE_INTERVAL:
            self._update_metrics()

    def mean_since_last(self) -> dict[Quantity, Tensor]:
        """The mean loss and the accuracy over the steps since the last call, as scalars on the training device."""
        self._update_metrics()
        means: dict[Quantity, Tensor] = {
            "loss": self.loss.compute(),
            "accuracy": self.accuracy.compute(),
        }
        self.reset()
        return means

    def reset(self) -> None:
        """Forgets the steps since the last call."""
        for kept in (self._losses, self._predicted, self._labels):
            kept.clear()
        self.loss.reset()
        self.accuracy.reset()

    def resume_state(self) -> dict[str, list[Tensor]]:
        """The steps that torchmetrics doesn't have yet; a checkpoint within an epoch holds them.

        Of each kind at most one tensor, the steps one after the other: to save a tensor takes longer than a step.
        """
        return {
            "losses": [torch.stack(self._losses)] if self._losses else [],
            "predicted": [torch.cat(self._predicted)] if self._predicted else [],
            "labels": [torch.cat(self._labels)] if self._labels else [],
        }

    def load_resume_state(self, state: dict[str, list[Tensor]]) -> None:
        self._losses = [loss for losses in state["losses"] for loss in losses.reshape(-1)]
        self._predicted, self._labels = state["predicted"], state["labels"]

    def merge_resume_states(self, states: Sequence[dict[str, list[Tensor]]], rank: int) -> dict[str, list[Tensor]]:
        """From the states of the processes of a run to that of a rank among another number of processes.

        The loss of a step is the mean of its processes, and each process has it; images count on rank 0.
        """
        losses = [torch.stack(parts).mean(0) for parts in zip(*(state["losses"] for state in states), strict=True)]
        counted = states if rank == 0 else []
        predicted, labels = ([part for state in counted for part in state[name]] for name in ("predicted", "labels"))
        return {"losses": losses, "predicted": predicted, "labels": labels}

    def _update_metrics(self) -> None:
        if self._losses:
            # with their number as the weight, a step counts as much before a resume on other processes as after it
            self.loss.update(torch.stack(self._losses), 1 / _processes())
        if self._labels:
            self.accuracy.update(torch.cat(self._predicted), torch.cat(self._labels))
        if self._losses or self._labels:
            for kept in (self._losses, self._predicted, self._labels):
                kept.clear()


def _processes() -> int:
    is_connected = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if is_connected else 1
