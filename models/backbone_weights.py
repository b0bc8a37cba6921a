"""Files with the weights of a network whose last layer isn't wanted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import ModelError

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
