"""The images on which a network is most wrong."""

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric

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
