"""The image classifiers of torchvision by name: their networks with another last layer, and what they expect."""

import copy
import difflib
from operator import attrgetter
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.errors import ModelError

_IMAGENET_CLASSES = 1000
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# two of them have further classifiers within the network, for training only; here they are left out
_WITHOUT_AUXILIARY = {"aux_logits": False, "init_weights": False, "transform_input": True}
_OPTIONS: dict[str, dict[str, Any]] = {"googlenet": _WITHOUT_AUXILIARY, "inception_v3": _WITHOUT_AUXILIARY}
_ONE_SIZE = ("vit_", "maxvit_")  # their positions are those of images of one size
_LEAST_SIZE = {"swin_": 32}  # their weights are said to need 224, but they take smaller images


def names() -> list[str]:
    """All image classifiers of torchvision."""
    found: list[str] = torchvision.models.list_models(module=torchvision.models)
    return found


class Architecture:
    """One of the image classifiers of torchvision.

    Args:
        name: Such as ``resnet18`` or ``efficientnet_b0``.

    Raises:
        ModelError: There is none of this name.
    """

    def __init__(self, name: str) -> None:
        if name not in names():
            close = difflib.get_close_matches(name.lower(), names(), n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(close)}?" if close else "such as resnet18, efficientnet_b0 or vit_b_16"
            raise ModelError(f"--model.architecture {name}: no image classifier of torchvision has this name; {hint}")
        self.name = name

    def network(self, num_classes: int) -> tuple[nn.Module, str]:
        """The network with a last layer for so many classes, and the name of that layer; the weights are random."""
        options = dict(_OPTIONS.get(self.name, {}))
        if self.name.startswith("vit_"):
            options["image_size"] = self.image_size
        try:
            network: nn.Module = torchvision.models.get_model(self.name, weights=None, **options)
        except NotImplementedError:  # on the device "meta": the widths of a RegNet are computed with tensors
            with torch.device("cpu"), _MetaWeights():
                network = torchvision.models.get_model(self.name, weights=None, **options)
        head = _last_layer(network)
        _replace(network, head, _like(network.get_submodule(head), num_classes))
        if self._normalisation != (_IMAGENET_MEAN, _IMAGENET_STD):
            network.renormalise = _Renormalise(*self._normalisation)
            network.register_forward_pre_hook(_renormalise)
        # the layout of the images; if gradients and DDP's buckets differ in strides, DDP copies each gradient and warns
        return network.to(memory_format=torch.channels_last), head

    def weights(self) -> dict[str, Tensor]:
        """The default weights of torchvision, downloaded once per node, with the names of the network's.

        Raises:
            ModelError: They can't be downloaded.
        """
        try:
            state: dict[str, Tensor] = self._default_weights.get_state_dict(progress=True, check_hash=True)
        except Exception as error:  # urllib, ssl and torch.hub raise errors of their own
            raise ModelError(
                f"--model.weights DEFAULT: torchvision's weights of {self.name} could not be downloaded "
                f"({error}); give a file, or none"
            ) from error
        return state

    @property
    def image_size(self) -> int:
        """Height and width, in pixels, of the images for which the default weights are made."""
        return int(self._default_weights.transforms().crop_size[0])

    @property
    def takes_one_size_only(self) -> bool:
        return self.name.startswith(_ONE_SIZE)

    @property
    def least_image_size(self) -> int:
        """The smallest images that the network takes, in pixels."""
        for family, size in _LEAST_SIZE.items():
            if self.name.startswith(family):
                return size
        return int(max(self._default_weights.meta["min_size"]))

    @property
    def _normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of the channels for which the default weights are made."""
        transforms = self._default_weights.transforms()
        return tuple(transforms.mean), tuple(transforms.std)

    @property
    def _default_weights(self) -> Any:
        return torchvision.models.get_model_weights(self.name)["DEFAULT"]


class _MetaWeights(TorchFunctionMode):
    """Weights of layers, which are made by ``torch.empty``, are on the device "meta", where they need no memory."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty and given.get("device") is None:
            given["device"] = "meta"
        return func(*args, **given)


class _Renormalise(nn.Module):
    """Converts images (B, 3, H, W) that are normalised as for ImageNet to another normalisation."""

    factor: Tensor
    offset: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        old_mean, old_std, new_mean, new_std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (_IMAGENET_MEAN, _IMAGENET_STD, mean, std)
        )
        self.register_buffer("factor", old_std / new_std, persistent=False)
        self.register_buffer("offset", (old_mean - new_mean) / new_std, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor + self.offset


def _renormalise(network: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """A hook before the network, so that its weights keep their names."""
    return (network.renormalise(inputs[0]),)  # type: ignore[operator]  # a module


def without_head(network: nn.Module, head: str) -> nn.Module:
    """The network without its last layer, from images (B, 3, H, W) to features (B, F); the weights are the same ones.

    Only the modules that contain the last layer are copied.
    """
    outer, _, inner = head.partition(".")
    copied = copy.copy(network)
    copied._modules = dict(network._modules)
    copied._modules[outer] = without_head(network.get_submodule(outer), inner) if inner else nn.Identity()
    return copied


def layer_of(head: str) -> "attrgetter[Any]":
    """A function that returns the layer of this name of a network."""
    return attrgetter(head)


def _last_layer(network: nn.Module) -> str:
    """The name of the layer that makes logits: the last one with an output for each class of ImageNet.

    In most networks it is linear. In SqueezeNet it is a convolution, and the logits are means over its outputs.
    """
    found = [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.shape[0] == _IMAGENET_CLASSES
    ]
    last: str = found[-1]
    return last


def _like(layer: nn.Module, outputs: int) -> nn.Module:
    if isinstance(layer, nn.Conv2d):
        return nn.Conv2d(layer.in_channels, outputs, layer.kernel_size)  # type: ignore[arg-type]  # a pair
    assert isinstance(layer, nn.Linear)
    return nn.Linear(layer.in_features, outputs)


def _replace(network: nn.Module, name: str, layer: nn.Module) -> None:
    outer, _, last = name.rpartition(".")
    setattr(network.get_submodule(outer), last, layer)
