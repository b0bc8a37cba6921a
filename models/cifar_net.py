"""The network of the Azure ML tutorials, from PyTorch's introduction to CIFAR-10."""

from collections.abc import Sequence

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn import functional

from models.classifier import ImageClassifier
from models.optimizers import Schedule, scheduled
from models.training_loss import ClassWeights, TrainingLoss

_TEN = tuple("0123456789")


class CifarNet(ImageClassifier):
    """Two convolutions and three linear layers, for images (B, 3, 32, 32), trained with SGD.

    Args:
        learning_rate: Learning rate of SGD.
        momentum: Momentum of SGD.
        schedule: Of the learning rate. constant, or one_cycle: it rises to learning_rate in the first fifth of all
            steps and falls to 0 in the others.
        classes: The names of the classes; on the command line they come from the data.
        label_smoothing: Share of each label that is spread over all classes, from 0 to below 1.
        class_weights: Factors of the training loss of each class, such as 1,2.5, or balanced: all classes count alike.
        mixup_alpha: Mixes training images and their labels by MixUp, with this parameter; 0: not.
        cutmix_alpha: The same by CutMix. With both, each batch has one of them.
    """

    image_size = 32
    """Height and width of the images that it takes, in pixels."""

    is_small = True

    def __init__(
        self,
        learning_rate: float = 0.001,
        momentum: float = 0.9,
        schedule: Schedule = "constant",
        classes: Sequence[str] = _TEN,
        label_smoothing: float = 0.0,
        class_weights: ClassWeights = None,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
    ) -> None:
        loss = TrainingLoss(classes, label_smoothing, class_weights, mixup_alpha, cutmix_alpha)
        super().__init__(CifarNetwork(len(classes)), classes, learning_rate, momentum, loss)
        self.save_hyperparameters()
        self.schedule = schedule

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return scheduled(self.sgd(), self.schedule, self.trainer)


class CifarNetwork(nn.Module):
    """The tutorials' ``Net`` with the same layers and names, so that each can load the weights of the other."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)
        self.to(memory_format=torch.channels_last)  # the layout of the images, see datamodules.in_memory

    def forward(self, images: Tensor) -> Tensor:
        """From images (B, 3, 32, 32) to logits (B, num_classes)."""
        # The tutorials apply ReLU first and pool after it. The order changes no value and no gradient, but there are
        # four times fewer pooled features; with channels_last, a step of 128 images takes a seventh less time.
        features = functional.relu_(self.pool(self.conv1(images)))
        features = functional.relu_(self.pool(self.conv2(features)))
        features = functional.relu_(self.fc1(features.flatten(1)))
        logits: Tensor = self.fc3(functional.relu_(self.fc2(features)))
        return logits
