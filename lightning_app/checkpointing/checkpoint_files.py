"""Reading checkpoints: files that may be damaged, of another program, or of another network."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden

from lightning_app.checkpointing.checkpoint_shape import require_readable
from lightning_app.checkpointing.sidecar import damage
from lightning_app.errors import UsageError


def load_plain(path: Path, shown: str) -> Any:
    """The content of a file of torch.save, which may be tensors and plain values only; nothing in it is executed.

    Args:
        path: The file.
        shown: What it is, for a message.

    Raises:
        UsageError: The file is damaged, or holds something else.
    """
    if problem := damage(path):
        raise UsageError(f"{shown}: can't be read ({problem})")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # unpickling, zip and I/O errors of many kinds, which mean the same to the user
        problem = "it holds something other than tensors and plain values, which isn't loaded"
        raise UsageError(f"{shown}: can't be read ({problem})") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; its tensors stay on disk until they are used.

    Raises:
        UsageError: The file is damaged, or isn't a checkpoint of Lightning.
    """
    content = load_plain(path, f"checkpoint {str(path)!r}")
    if not isinstance(content, dict) or "state_dict" not in content or "pytorch-lightning_version" not in content:
        raise UsageError(f"checkpoint {str(path)!r}: not a checkpoint of Lightning")
    require_readable(path, content)
    return content


def require_same_weights(model: pl.LightningModule, path: Path) -> None:
    """Checks that a checkpoint has the weights of the model, before Lightning loads them.

    Raises:
        UsageError: It has those of another network.
    """
    if not model.strict_loading or is_overridden("configure_model", model):
        return
    saved, expected = read_checkpoint(path)["state_dict"], model.state_dict()
    for name in [*expected, *saved]:
        shapes = [tuple(state[name].shape) if name in state else "none" for state in (saved, expected)]
        if shapes[0] != shapes[1]:
            raise UsageError(
                f"checkpoint {str(path)!r}: holds the weights of another network than {type(model).__name__}, such as "
                f"{name!r} ({shapes[0]} in the file, {shapes[1]} in the network); give the settings of its model"
            )
