"""Loss and accuracy over all training steps since they were last logged, at almost no cost per step."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

Quantity = Literal["loss", "accuracy"]

_UPDATE_INTERVAL = 256  # steps; limits the memory, and spreads the cost of the metrics over many steps
_IMAGES_AT_A_TIME = 64  # whose predictions are computed together: for a few, the calls take longer than the work


class StepMetrics(nn.Module):
    """Keeps the loss and the predictions of each step and passes them to torchmetrics once in many steps.

    The update of a torchmetric is dozens of small operations, too many for each step. Computing gathers from all
    processes, as torchmetrics does: each process must call it at the same step.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy="disable")  # a NaN must be visible in the mean, not left out
        self.accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self._steps = self._waiting_images = 0
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []  # loss, logits, labels of the last steps
        self._losses, self._predicted, self._labels = KeptValues(), KeptValues(), KeptValues()

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One step: scalar loss, logits (B, num_classes), labels (B,)."""
        self._waiting.append((loss.detach(), logits.detach(), labels))
        self._steps += 1
        self._waiting_images += len(labels)
        if self._waiting_images >= _IMAGES_AT_A_TIME:
            self._keep_waiting()
        if self._steps >= _UPDATE_INTERVAL:
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
        self._forget_steps()
        self.loss.reset()
        self.accuracy.reset()

    def resume_state(self) -> dict[str, list[Tensor]]:
        """The steps that torchmetrics doesn't have yet; a checkpoint within an epoch holds them.

        Of each kind at most one tensor, the steps one after the other: to save a tensor takes longer than a step.
        """
        self._keep_waiting()
        kept = {"losses": self._losses, "predicted": self._predicted, "labels": self._labels}
        return {name: [values.all.clone()] if values.count else [] for name, values in kept.items()}

    def load_resume_state(self, state: dict[str, list[Tensor]]) -> None:
        self._forget_steps()
        for losses in state["losses"]:
            self._losses.reserve(losses.numel(), losses).copy_(losses.reshape(-1))
            self._steps += losses.numel()
        for kept, name in ((self._predicted, "predicted"), (self._labels, "labels")):
            for values in state[name]:
                kept.reserve(len(values), values).copy_(values)

    def merge_resume_states(self, states: Sequence[dict[str, list[Tensor]]], rank: int) -> dict[str, list[Tensor]]:
        """From the states of the processes of a run to that of a rank among another number of processes.

        The loss of a step is the mean of its processes, and each process has it; images count on rank 0.
        """
        losses = [torch.stack(parts).mean(0) for parts in zip(*(state["losses"] for state in states), strict=True)]
        counted = states if rank == 0 else []
        predicted, labels = ([part for state in counted for part in state[name]] for name in ("predicted", "labels"))
        return {"losses": losses, "predicted": predicted, "labels": labels}

    def _update_metrics(self) -> None:
        self._keep_waiting()
        if self._losses.count:
            # with their number as the weight, a step counts as much before a resume on other processes as after it
            self.loss.update(self._losses.all, 1 / _processes())
        if self._labels.count:
            self.accuracy.update(self._predicted.all, self._labels.all)
        self._forget_steps()

    def _keep_waiting(self) -> None:
        if not self._waiting:
            return
        losses, logits, labels = zip(*self._waiting, strict=True)
        torch.stack(losses, out=self._losses.reserve(len(losses), losses[0]))
        torch.cat(labels, out=self._labels.reserve(self._waiting_images, labels[0]))
        torch.argmax(torch.cat(logits), 1, out=self._predicted.reserve(self._waiting_images, labels[0]))
        self._waiting.clear()
        self._waiting_images = 0

    def _forget_steps(self) -> None:
        self._waiting.clear()
        self._steps = self._waiting_images = 0
        for kept in (self._losses, self._predicted, self._labels):
            kept.clear()


def _processes() -> int:
    is_connected = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if is_connected else 1


class KeptValues:
    """Numbers of many steps, one after the other, in memory that is used again.

    Small tensors that are kept lie between the large ones of the steps, whose memory then can't be used again by the
    next step: each one would write to new memory. At 512 images a step takes 4 % longer then.
    """

    def __init__(self) -> None:
        self._memory: Tensor | None = None
        self.count = 0

    @property
    def all(self) -> Tensor:
        assert self._memory is not None
        return self._memory[: self.count]

    def reserve(self, count: int, like: Tensor) -> Tensor:
        """The memory of the next values, (count,), of the same dtype and on the same device as another tensor."""
        first, self.count = self.count, self.count + count
        memory = self._memory
        if memory is None or memory.dtype != like.dtype or memory.device != like.device:
            self._memory = memory = like.new_empty(_UPDATE_INTERVAL * count)
        if self.count > len(memory):
            self._memory = memory = torch.cat([memory, memory.new_empty(self.count)])
        return memory[first : self.count]

    def clear(self) -> None:
        self.count = 0
