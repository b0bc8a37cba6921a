"""Files with the weights of a network whose last layer isn't wanted."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import ModelError

# of torchvision's files of weights for DenseNets, which are older than its names: norm.1 is norm1
_OLD_NAME = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")  # further classifiers within a network, for its training
_NETWORK_PREFIX = "network."  # where ImageClassifier keeps its network


def load_backbone(network: nn.Module, path: Path, *, architecture: str, head: str) -> None:
    """Copies the weights from the file into the network, except those of the layer called ``head``.

    Raises:
        ModelError: The file can't be read, or holds the weights of another architecture.
    """
    weights = backbone_weights(network, path, architecture=architecture, head=head)
    network.load_state_dict(weights, strict=False)


def backbone_weights(network: nn.Module, path: Path, *, architecture: str, head: str) -> dict[str, Tensor]:
    """The weights in the file, except those of the layer called ``head``; see ``load_backbone``."""
    return fitting_weights(_read(path), network, given=repr(str(path)), architecture=architecture, head=head)


def fitting_weights(
    weights: Mapping[str, Tensor], network: nn.Module, *, given: str, architecture: str, head: str
) -> dict[str, Tensor]:
    """Those of the weights that belong to the network without the layer called ``head``.

    Args:
        weights: By their names, which may be those of an earlier torchvision.
        network: The network.
        given: What the user has given as ``--model.weights``, for the message.
        architecture: The name of the network.
        head: The name of its last layer.

    Raises:
        ModelError: They are of another network.
    """
    without_head = f"{head}."
    weights = {_OLD_NAME.sub(r"\1\2", name): value for name, value in weights.items()}
    expected = {name: value for name, value in network.state_dict().items() if not name.startswith(without_head)}
    unused = (without_head, *(prefix for prefix in _AUXILIARY if not any(name.startswith(prefix) for name in expected)))
    weights = {name: value for name, value in weights.items() if not name.startswith(unused)}
    # batch norms of old files lack the count, which only those without a momentum use
    missing = sorted(name for name in expected.keys() - weights.keys() if not name.endswith("num_batches_tracked"))
    unknown = sorted(weights.keys() - expected.keys())
    reshaped = [n for n in sorted(expected.keys() & weights.keys()) if expected[n].shape != weights[n].shape]
    if missing or unknown or reshaped:
        name = (reshaped or missing or unknown)[0]
        in_file = tuple(weights[name].shape) if name in weights else "none"
        in_network = tuple(expected[name].shape) if name in expected else "none"
        raise ModelError(
            f"--model.weights {given}: holds the weights of another network than {architecture}: "
            f"{len(missing)} missing, {len(unknown)} unknown, {len(reshaped)} of another shape, such as {name!r} "
            f"({in_file} in the file, {in_network} in {architecture}); give weights of {architecture}, or none"
        )
    return weights


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"--model.weights {str(path)!r}: no such file; expected DEFAULT, none or a file of weights")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling, zip and I/O errors of many kinds
        reason = error.strerror if isinstance(error, OSError) else None
        reason = reason or "it isn't a file of torch.save, is damaged, or holds more than tensors and plain values"
        raise ModelError(f"--model.weights {str(path)!r}: can't be read as PyTorch weights ({reason})") from error
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
