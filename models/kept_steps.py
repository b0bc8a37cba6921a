"""The losses, predictions and labels of the last training steps, in memory that is used again."""

import torch
from torch import Tensor

MOST_STEPS = 256  # that are kept: limits the memory
_IMAGES_AT_A_TIME = 64  # whose predictions are computed together: for a few, the calls take longer than the work


class KeptSteps:
    """What is kept of each step until the metrics are updated.

    It isn't part of a module: to set an attribute of one takes a microsecond, half as long as ``add``.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.losses, self.predicted, self.labels = KeptValues(), KeptValues(), KeptValues()
        self._waiting: list[tuple[Tensor, Tensor, Tensor]] = []  # loss, logits, labels of the last steps
        self._waiting_images = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """One step: scalar loss, logits (B, num_classes), labels (B,)."""
        self._waiting.append((loss.detach(), logits.detach(), labels))
        self.steps += 1
        self._waiting_images += labels.size(0)  # len() takes twice as long
        if self._waiting_images >= _IMAGES_AT_A_TIME:
            self.complete()

    def complete(self) -> None:
        """Computes what the last steps have predicted: after it, all steps are in the three attributes."""
        if not self._waiting:
            return
        losses, logits, labels = zip(*self._waiting, strict=True)
        torch.stack(losses, out=self.losses.reserve(len(losses), losses[0]))
        torch.cat(labels, out=self.labels.reserve(self._waiting_images, labels[0]))
        torch.argmax(torch.cat(logits), 1, out=self.predicted.reserve(self._waiting_images, labels[0]))
        self._waiting.clear()
        self._waiting_images = 0

    def clear(self) -> None:
        self._waiting.clear()
        self.steps = self._waiting_images = 0
        for kept in (self.losses, self.predicted, self.labels):
            kept.clear()


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
            self._memory = memory = like.new_empty(MOST_STEPS * count)
        if self.count > len(memory):
            self._memory = memory = torch.cat([memory, memory.new_empty(self.count)])
        return memory[first : self.count]

    def clear(self) -> None:
        self.count = 0
