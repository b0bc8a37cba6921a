"""What may be added to the loss of a training: weights of the classes, label smoothing, and mixed images."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from models.errors import ModelError

BALANCED = "balanced"
_WEIGHTS = "--model.class_weights"

ClassWeights = Sequence[float] | str | None
"""``balanced``, or a weight for each class: a list, or a text such as 1,2.5; None for none."""


def require_share(flag: str, value: float) -> None:
    """Raises ModelError unless a value is a number from 0 to below 1."""
    if not 0 <= value < 1:
        raise ModelError(f"{flag} {value}: expected a number from 0 to below 1")


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
