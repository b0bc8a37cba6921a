"""Loss and accuracy over all training steps since they were last logged, at almost no cost per step."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from models.kept_steps import MOST_STEPS, KeptSteps

Quantity = Literal["loss", "accuracy"]


class StepMetrics(nn.Module):
    """Keeps the loss and the predictions of each step and passes them to torchmetrics once in many steps.

    The update of a torchmetric is dozens of small operations, too many for each step. Computing gathers from all
    processes, as torchmetrics does: each process must call it at the same step.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")  # a NaN must be visible in the mean, not left out
        self.accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self._kept = KeptSteps()

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One step: scalar loss, logits (B, num_classes), labels (B,)."""
        kept = self._kept
        kept.add(loss, logits, labels)
        if kept.steps >= MOST_STEPS:
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
        self._kept.clear()
        self.loss.reset()
        self.accuracy.reset()

    def resume_state(self) -> dict[str, list[Tensor]]:
        """The steps that torchmetrics doesn't have yet; a checkpoint within an epoch holds them.

        Of each kind at most one tensor, the steps one after the other: to save a tensor takes longer than a step.
        """
        self._kept.complete()
        kept = {"losses": self._kept.losses, "predicted": self._kept.predicted, "labels": self._kept.labels}
        return {name: [values.all.clone()] if values.count else [] for name, values in kept.items()}

    def load_resume_state(self, state: dict[str, list[Tensor]]) -> None:
        kept = self._kept
        kept.clear()
        for losses in state["losses"]:
            kept.losses.reserve(losses.numel(), losses).copy_(losses.reshape(-1))
            kept.steps += losses.numel()
        for values in state["predicted"]:
            kept.predicted.reserve(len(values), values).copy_(values)
        for values in state["labels"]:
            kept.labels.reserve(len(values), values).copy_(values)

    def merge_resume_states(self, states: Sequence[dict[str, list[Tensor]]], rank: int) -> dict[str, list[Tensor]]:
        """From the states of the processes of a run to that of a rank among another number of processes.

        The loss of a step is the mean of its processes, and each process has it; images count on rank 0.
        """
        losses = [torch.stack(parts).mean(0) for parts in zip(*(state["losses"] for state in states), strict=True)]
        counted = states if rank == 0 else []
        predicted, labels = ([part for state in counted for part in state[name]] for name in ("predicted", "labels"))
        return {"losses": losses, "predicted": predicted, "labels": labels}

    def _update_metrics(self) -> None:
        kept = self._kept
        kept.complete()
        if kept.losses.count:
            # with their number as the weight, a step counts as much before a resume on other processes as after it
            self.loss.update(kept.losses.all, 1 / _processes())
        if kept.labels.count:
            self.accuracy.update(kept.predicted.all, kept.labels.all)
        kept.clear()


def _processes() -> int:
    is_connected = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if is_connected else 1
