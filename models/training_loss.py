"""The loss of a training: cross entropy, with weights of the classes, label smoothing and mixed images if wanted."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from models.errors import ModelError
from models.uneven_step import UnevenStep, uneven_last_step

BALANCED = "balanced"
_WEIGHTS = "--model.class_weights"

ClassWeights = Sequence[float] | str | None
"""``balanced``, or a weight for each class: a list, or a text such as 1,2.5; None for none."""


class TrainingLoss:
    """The cross entropy of a training step.

    It is the mean over all images of the step, on all processes together: each image of an epoch counts once, also in
    its last step, where some processes may have no new image.

    Args:
        classes: The names of the classes.
        label_smoothing: Share of each label that is spread over all classes, from 0 to below 1.
        class_weights: Factors of the loss of the images of each class, such as 1,2.5; ``balanced``: so that all classes
            count the same. The mean isn't divided by the weights of a step's images: so it is the same on any number of
            processes.
        mixup_alpha: Images and their labels are mixed with each other by MixUp; 1: evenly; 0: they aren't.
        cutmix_alpha: The same by CutMix, which puts a part of one image into another one.

    Raises:
        ModelError: A value is out of range.
    """

    def __init__(
        self,
        classes: Sequence[str],
        label_smoothing: float = 0.0,
        class_weights: ClassWeights = None,
        mixup_alpha: float = 0.0,
        cutmix_alpha: float = 0.0,
    ) -> None:
        if not 0 <= label_smoothing < 1:
            raise ModelError(f"--model.label_smoothing {label_smoothing}: expected a number from 0 to below 1")
        self.label_smoothing = label_smoothing
        self.mixing = Mixing(mixup_alpha, cutmix_alpha, len(classes)) or None
        self._classes = list(classes)
        self._given_weights = parsed_weights(class_weights)
        self._weights: Tensor | None = None  # of each class, once they are known
        self._uneven_step: UnevenStep | None = None
        self._uneven_idx = -1  # its batch_idx; -1 is no batch

    def count_classes(self, datamodule: Any, like: Tensor) -> None:
        """Computes the weights of the classes, on the device and of the type of ``like``.

        Raises:
            ModelError: See ``weights_of_classes``.
        """
        if self._given_weights is not None:
            self._weights = weights_of_classes(self._given_weights, self._classes, datamodule).to(like)

    def count_images(self, loader: Any, world_size: int) -> None:
        """Finds the step in which some of the ``world_size`` processes have no new image."""
        self._uneven_step = uneven_last_step(loader, world_size)
        self._uneven_idx = -1 if self._uneven_step is None else self._uneven_step.batch_idx

    def mixed(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) and labels, int64 (B,); if they are mixed, labels are shares of all classes (B, C)."""
        return batch if self.mixing is None else self.mixing(*batch)

    def __call__(self, logits: Tensor, labels: Tensor, batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """The loss of a step, and the logits (B, C) and labels, int64 (B,), of those images that count in it.

        Args:
            logits: Of all images of the batch (B, C).
            labels: Labels, int64 (B,), or shares of all classes (B, C), whose largest one is returned as the label.
            batch_idx: The step's index in the epoch.
        """
        smoothing, weights = self.label_smoothing, self._weights
        if batch_idx == self._uneven_idx and self._uneven_step is not None:
            logits, labels = logits[: self._uneven_step.counted], labels[: self._uneven_step.counted]
            summed = functional.cross_entropy(logits, labels, weights, reduction="sum", label_smoothing=smoothing)
            loss = summed * self._uneven_step.weight
        elif weights is not None:  # torch's mean would be over the weights of this process's images
            summed = functional.cross_entropy(logits, labels, weights, reduction="sum", label_smoothing=smoothing)
            loss = summed / labels.size(0)
        else:
            loss = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        return loss, logits, labels if self.mixing is None else labels.argmax(1)


def parsed_weights(given: ClassWeights) -> tuple[float, ...] | str | None:
    """The weights that a user has given.

    Raises:
        ModelError: They are neither ``balanced`` nor numbers of at least 0, one of them above 0.
    """
    if given is None or given == BALANCED:
        return given if given is None else BALANCED
    shown = given if isinstance(given, str) else ",".join(map(str, given))
    problem = f"{_WEIGHTS} {shown}: expected balanced, or a number of at least 0 for each class, such as 1,2.5"
    try:
        weights = tuple(float(each) for each in (given.strip("[]").split(",") if isinstance(given, str) else given))
    except ValueError:
        raise ModelError(problem) from None
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        raise ModelError(problem)
    return weights


def weights_of_classes(given: tuple[float, ...] | str, classes: Sequence[str], datamodule: Any) -> Tensor:
    """The weight of each class, float32 (C,).

    ``balanced``: images / (classes * images of the class), as in scikit-learn, so that the mean over all training
    images is 1.

    Args:
        given: What ``parsed_weights`` has returned.
        classes: The names of the classes.
        datamodule: The data; for ``balanced`` with a property ``class_counts``, the training images of each class.

    Raises:
        ModelError: There isn't one weight for each class, or the counts aren't known.
    """
    if given != BALANCED:
        if len(given) != len(classes):
            raise ModelError(f"{_WEIGHTS}: {len(given)} weights for {len(classes)} classes; give one for each class")
        return torch.tensor(given)
    counts = getattr(datamodule, "class_counts", None)
    if counts is None or len(counts) != len(classes):
        raise ModelError(
            f"{_WEIGHTS} {BALANCED}: needs data with the property class_counts, the training images of each class; "
            "give a weight for each class"
        )
    # a class without images needs no weight
    return torch.tensor([sum(counts) / (len(counts) * count) if count else 0.0 for count in counts])


class Mixing:
    """Mixes the images of a batch with each other, and their labels: MixUp, CutMix, or one of both at random.

    They are torchvision's. Where both are given, each batch has one of them, with equal chances, as in torchvision's
    references.

    Args:
        mixup_alpha: Parameter of MixUp's Beta distribution (Zhang et al., 2018, arXiv:1710.09412); 0: without.
        cutmix_alpha: The same of CutMix (Yun et al., 2019, arXiv:1905.04899).
        num_classes: Number of classes.

    Raises:
        ModelError: A value is out of range.
    """

    def __init__(self, mixup_alpha: float, cutmix_alpha: float, num_classes: int) -> None:
        for name, value in (("mixup_alpha", mixup_alpha), ("cutmix_alpha", cutmix_alpha)):
            if not (math.isfinite(value) and value >= 0):
                raise ModelError(f"--model.{name} {value}: expected a finite number of at least 0")
        self._transforms: list[Any] = []
        with torch.device("cpu"):  # their distributions don't work on the device "meta"
            if mixup_alpha:
                self._transforms.append(v2.MixUp(alpha=mixup_alpha, num_classes=num_classes))
            if cutmix_alpha:
                self._transforms.append(v2.CutMix(alpha=cutmix_alpha, num_classes=num_classes))

    def __bool__(self) -> bool:
        return bool(self._transforms)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """From images (B, 3, H, W) and labels, int64 (B,), to mixed images and their shares of classes (B, C)."""
        several = len(self._transforms) > 1
        transform = self._transforms[int(torch.randint(2, ())) if several else 0]
        mixed, shares = transform(images, labels)
        return mixed.contiguous(memory_format=torch.channels_last), shares.to(images.dtype)
