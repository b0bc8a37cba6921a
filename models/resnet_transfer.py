"""Transfer learning: a pretrained ResNet with a new head."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torchvision
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from models.classifier import ImageClassifier
from models.errors import ModelError

Depth = Literal[18, 34, 50, 101, 152]
_HEAD = "fc"  # torchvision's name of a ResNet's last layer


class ResNetTransfer(ImageClassifier):
    """A ResNet of torchvision with a new head, trained with SGD and the step schedule of the tutorial.

    Images are float32 (B, 3, H, W), normalised as for ImageNet. The pretrained weights are read when fitting starts; a
    resumed run, ``validate``, ``test`` and ``predict`` load the weights of a checkpoint instead.

    Args:
        depth: Layers of the ResNet.
        weights: ``DEFAULT`` (torchvision's ImageNet weights, downloaded once per node), ``none``, or a file with a
            state dict or a checkpoint of this project.
        freeze_backbone: Train only the head; the batch norms of the backbone keep their statistics, too.
        learning_rate: Learning rate of SGD.
        momentum: Momentum of SGD.
        step_size: Epochs after which the learning rate is multiplied by gamma.
        gamma: Factor of the learning rate.
        classes: The names of the classes; on the command line they come from the data.
        feature_views: Augmented views of each training image. A frozen backbone computes the features of each view
            once; the epochs use the views in turn. 0: it computes at each step, and each epoch has a view of its own.
        bf16_features: Compute these features in bfloat16, where the processor or the GPU is made for it.

    Raises:
        ModelError: A value is out of range, or the weights can't be used.
    """

    def __init__(
        self,
        depth: Depth = 18,
        weights: str = "DEFAULT",
        freeze_backbone: bool = True,
        learning_rate: float = 0.001,
        momentum: float = 0.9,
        step_size: int = 7,
        gamma: float = 0.1,
        classes: Sequence[str] = ("0", "1"),
        feature_views: int = 3,
        bf16_features: bool = False,
    ) -> None:
        if step_size < 1:
            raise ModelError(f"--model.step_size {step_size}: expected a whole number of epochs, at least 1")
        if feature_views < 0:
            raise ModelError(f"--model.feature_views {feature_views}: expected a whole number of views, or 0")
        super().__init__(_resnet(depth, len(classes)), classes, learning_rate, momentum)
        self.save_hyperparameters()
        self.architecture = f"resnet{depth}"
        self.weights = weights
        self.freeze_backbone = freeze_backbone
        self.feature_width = self.network.fc.in_features  # type: ignore[union-attr,assignment]  # a linear layer
        self.feature_views = feature_views
        self.bf16_features = bf16_features
        self.step_size = step_size
        self.gamma = gamma
        if freeze_backbone:
            for name, parameter in self.network.named_parameters():
                parameter.requires_grad = name.startswith(f"{_HEAD}.")

    @property
    def trains_buffers(self) -> bool:
        return not self.freeze_backbone

    @property
    def backbone(self) -> nn.Module:
        """All layers except the head, for Lightning's ``BackboneFinetuning``."""
        return nn.ModuleList(layer for name, layer in self.network.named_children() if name != _HEAD)

    def logits(self, inputs: Tensor) -> Tensor:
        if inputs.dim() == 2:
            logits: Tensor = self.network.fc(inputs)  # type: ignore[operator]  # a module
            return logits
        return super().logits(inputs)

    def frozen_backbone(self) -> nn.Module | None:
        return nn.Sequential(*self.backbone.children(), nn.Flatten(1)) if self.freeze_backbone else None

    def prepare_data(self) -> None:
        """Downloads the ImageNet weights, or checks the file of weights, once per node."""
        if not self._is_fresh_run() or self.weights == "none":
            return
        if self.weights == "DEFAULT":
            self._imagenet_weights()
        else:  # before the run folder is prepared
            _backbone_weights(self.network, Path(self.weights), architecture=self.architecture, head=_HEAD)

    def setup(self, stage: str) -> None:
        """Loads the pretrained weights, except those of the head."""
        if stage != "fit" or not self._is_fresh_run() or self.weights == "none":
            return
        if self.weights == "DEFAULT":
            state = {n: value for n, value in self._imagenet_weights().items() if not n.startswith(f"{_HEAD}.")}
            self.network.load_state_dict(state, strict=False)
        else:
            load_backbone(self.network, Path(self.weights), architecture=self.architecture, head=_HEAD)

    def on_train_epoch_start(self) -> None:
        """Stops the batch norms of a frozen backbone from updating; a linear head is the same in both modes."""
        if self.freeze_backbone:
            self.network.eval()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.sgd()
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, self.step_size, self.gamma)]

    def _is_fresh_run(self) -> bool:
        return self.trainer.ckpt_path is None

    def _imagenet_weights(self) -> dict[str, Tensor]:
        available = torchvision.models.get_model_weights(self.architecture)
        try:
            weights: dict[str, Tensor] = available["DEFAULT"].get_state_dict(progress=True, check_hash=True)
        except Exception as error:  # urllib, ssl and torch.hub raise errors of their own
            raise ModelError(
                f"--model.weights DEFAULT: torchvision's weights of {self.architecture} could not be downloaded "
                f"({error}); give a file, or none"
            ) from error
        return weights


def _resnet(depth: Depth, num_classes: int) -> nn.Module:
    # setup loads the pretrained weights
    network: nn.Module = torchvision.models.get_model(f"resnet{depth}", weights=None)
    network.fc = nn.Linear(network.fc.in_features, num_classes)  # type: ignore[union-attr,arg-type]
    # the layout of the images; if gradients and DDP's buckets differ in strides, DDP copies each gradient and warns
    return network.to(memory_format=torch.channels_last)


_NETWORK_PREFIX = "network."  # where ImageClassifier keeps its network


def load_backbone(network: nn.Module, path: Path, *, architecture: str, head: str) -> None:
    """Copies the weights from the file into the network, except those of the layer called ``head``.

    Raises:
        ModelError: The file can't be read, or holds the weights of another architecture.
    """
    weights = _backbone_weights(network, path, architecture=architecture, head=head)
    network.load_state_dict(weights, strict=False)


def _backbone_weights(network: nn.Module, path: Path, *, architecture: str, head: str) -> dict[str, Tensor]:
    weights = {name: value for name, value in _read(path).items() if not name.startswith(f"{head}.")}
    expected = {name: value for name, value in network.state_dict().items() if not name.startswith(f"{head}.")}
    missing, unknown = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    reshaped = [n for n in sorted(expected.keys() & weights.keys()) if expected[n].shape != weights[n].shape]
    if missing or unknown or reshaped:
        name = (reshaped or missing or unknown)[0]
        in_file = tuple(weights[name].shape) if name in weights else "none"
        in_network = tuple(expected[name].shape) if name in expected else "none"
        raise ModelError(
            f"--model.weights {str(path)!r}: holds the weights of another network than {architecture}: "
            f"{len(missing)} missing, {len(unknown)} unknown, {len(reshaped)} of another shape, such as {name!r} "
            f"({in_file} in the file, {in_network} in {architecture}); give weights of {architecture}, or none"
        )
    return weights


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"--model.weights {str(path)!r}: no such file; expected DEFAULT, none or a file of weights")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling, zip and I/O errors of many kinds, which mean the same to the user
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"--model.weights {str(path)!r}: can't be read as PyTorch weights ({reason:.120})") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        state: Mapping[str, Any] = content["state_dict"]
        return {
            name.removeprefix(_NETWORK_PREFIX): value
            for name, value in state.items()
            if name.startswith(_NETWORK_PREFIX)
        }
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"--model.weights {str(path)!r}: expected a state dict or a checkpoint of this project")
    return dict(content)
