"""A small residual network for images of 32 x 32 pixels."""

import math
from collections.abc import Sequence

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from models.classifier import ImageClassifier
from models.errors import ModelError
from models.optimizers import Schedule, scheduled
from models.training_loss import ClassWeights, TrainingLoss

_TEN = tuple("0123456789")


class CifarResNet(ImageClassifier):
    """Eight convolutions with batch norms and a linear layer, for images (B, 3, 32, 32), trained with Nesterov's SGD.

    The arrangement of its layers, with two residual blocks and a pooling after most convolutions, is that of David
    Page's "How to train your ResNet" (2018), the learning rate and the schedule are in proportion to a batch of 128.

    Args:
        learning_rate: Learning rate of SGD; the largest one of the schedule.
        momentum: Momentum of SGD.
        weight_decay: Factor of the L2 penalty of SGD.
        label_smoothing: Share of each label that is spread over all classes, from 0 to below 1.
        schedule: Of the learning rate. constant, or one_cycle: it rises to learning_rate in the first fifth of all
            steps and falls to 0 in the others.
        width: Channels of the first convolution; the last ones have eight times as many.
        classes: The names of the classes; on the command line they come from the data.
        class_weights: Factors of the training loss of each class, such as 1,2.5, or balanced: all classes count alike.
        mixup_alpha: Mixes training images and their labels by MixUp, with this parameter; 0: not.
        cutmix_alpha: The same by CutMix. With both, each batch has one of them.

    Raises:
        ModelError: A value is out of range.
    """

    image_size = 32
    """Height and width of the images that it takes, in pixels."""

    def __init__(
        self,
        learning_rate: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        label_smoothing: float = 0.0,
        schedule: Schedule = "one_cycle",
        width: int = 16,
        classes: Sequence[str] = _TEN,
        class_weights: ClassWeights = None,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
    ) -> None:
        if width < 1:
            raise ModelError(f"--model.width {width}: expected a whole number of channels, at least 1")
        if not (math.isfinite(weight_decay) and weight_decay >= 0):
            raise ModelError(f"--model.weight_decay {weight_decay}: expected a finite number of at least 0")
        loss = TrainingLoss(classes, label_smoothing, class_weights, mixup_alpha, cutmix_alpha)
        super().__init__(_network(width, len(classes)), classes, learning_rate, momentum, loss)
        self.save_hyperparameters()
        self.weight_decay, self.schedule = weight_decay, schedule

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.sgd(weight_decay=self.weight_decay, nesterov=self.momentum > 0)
        return scheduled(optimizer, self.schedule, self.trainer)


class _Residual(nn.Module):
    """Adds to its input what two convolutions make of it; images (B, C, H, W) keep their shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_convolution(channels, channels), _convolution(channels, channels))

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = images + self.layers(images)
        return output


def _convolution(channels: int, output: int, *, pool: bool = False) -> nn.Module:
    """3 x 3, with a batch norm; ``pool`` halves height and width before it, when there are fewest values."""
    layers: list[nn.Module] = [nn.Conv2d(channels, output, 3, padding=1, bias=False)]
    layers += [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(*layers, nn.BatchNorm2d(output), nn.ReLU(inplace=True))


def _network(width: int, num_classes: int) -> nn.Module:
    network = nn.Sequential(
        _convolution(3, width),
        _convolution(width, 2 * width, pool=True),
        _Residual(2 * width),
        _convolution(2 * width, 4 * width, pool=True),
        _convolution(4 * width, 8 * width, pool=True),
        _Residual(8 * width),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8 * width, num_classes),
    )
    return network.to(memory_format=torch.channels_last)  # the layout of the images, see datamodules.in_memory
