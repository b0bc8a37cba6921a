"""``--init_from``: training begins with weights from a file; nothing else of the file is used."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from lightning_app.checkpointing.checkpoint_files import load_plain
from lightning_app.checkpointing.sidecar import file_hash
from lightning_app.distributed.sync import checkpoint_everywhere
from lightning_app.errors import UsageError

log = logging.getLogger(__name__)

Weights = Mapping[str, Tensor]

_NAMED = 3  # tensors that a message names
_INNER = ("state_dict", "model_state_dict", "model")  # where programs keep the weights among other values


@dataclass(frozen=True)
class Match:
    """Which weights of a file fit a network.

    Args:
        taken: For each tensor of the network that gets its values from the file, the name in the file.
        new: Tensors of the network that the file doesn't have.
        other_shape: Tensors of both that differ in shape, such as a head for other classes; the shape in the file and
            that in the network.
        unused: Names in the file that no tensor of the network has.
    """

    taken: Mapping[str, str]
    new: tuple[str, ...]
    other_shape: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        total = len(self.taken) + len(self.new) + len(self.other_shape)
        parts = [f"{len(self.taken)} of {total} tensors taken"]
        if self.other_shape:
            shapes = [f"{name} ({there} in the file, {here} here)" for name, (there, here) in self.other_shape.items()]
            parts.append(f"of another shape, so new: {_few(shapes)}")
        if self.new:
            parts.append(f"not in the file, so new: {_few(self.new)}")
        if self.unused:
            parts.append(f"only in the file: {_few(self.unused)}")
        return "; ".join(parts)


def read_weights(path: Path) -> Weights:
    """The tensors of a checkpoint of Lightning, or of a ``state_dict`` that was saved by itself, by their names.

    Raises:
        UsageError: The file is damaged, or holds no weights.
    """
    given = f"--init_from {str(path)!r}"
    if not path.is_file():
        raise UsageError(f"{given}: no such file; expected a checkpoint of Lightning or a state_dict of torch")
    found = _weights_in(load_plain(path, given))
    if not found:
        raise UsageError(f"{given}: no weights in it; expected a checkpoint of Lightning or a state_dict of torch")
    return found


def match(expected: Weights, saved: Weights) -> Match:
    """Finds the names in the file that belong to those of the network.

    Programs wrap networks: what one calls ``model.conv1.weight`` is ``network.conv1.weight`` in another one and
    ``conv1.weight`` in torchvision. So that replacement of what most names begin with is used with which the most
    tensors fit.
    """
    ways = [(there, here) for there in _beginnings(saved) for here in _beginnings(expected)]
    # of equally good ones the first, which leaves the names as they are
    there, here = max(ways, key=lambda way: sum(1 for _ in _fitting(expected, saved, *way)))
    taken = dict(_fitting(expected, saved, there, here))
    paired = {name: there + name.removeprefix(here) for name in expected if name.startswith(here)}
    other_shape = {
        name: (tuple(saved[source].shape), tuple(expected[name].shape))
        for name, source in paired.items()
        if name not in taken and source in saved
    }
    used = {paired[name] for name in (*taken, *other_shape)}
    return Match(
        taken,
        tuple(name for name in expected if name not in taken and name not in other_shape),
        other_shape,
        tuple(name for name in saved if name not in used),
    )


def require_some_fit(model: pl.LightningModule, path: Path) -> None:
    """Checks that a network can take weights from a file, before anything else is done.

    Raises:
        UsageError: The file can't be read, or nothing in it fits.
    """
    saved = read_weights(path)
    if not _makes_layers_later(model):
        _require_taken(match(model.state_dict(), saved), model, path)


class WarmStart(pl.Callback):
    """Gives the network the weights when training starts, unless it continues from a checkpoint, which has its own.

    All processes read rank 0's file. The hash of the file is in the checkpoints of the run: another file makes another
    run.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._sha256 = path, ""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.ckpt_path is not None:
            return
        with checkpoint_everywhere(trainer, self._path) as path:
            assert path is not None
            self._sha256 = file_hash(path)
            saved, expected = read_weights(path), pl_module.state_dict()
            found = match(expected, saved)
            _require_taken(found, pl_module, self._path)
            with torch.no_grad():
                for name, source in found.taken.items():
                    expected[name].copy_(saved[source])  # it shares the memory of the parameter
        log.info("Weights from %s: %s.", self._path, found)

    def state_dict(self) -> dict[str, Any]:
        return {"sha256": self._sha256}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._sha256 = str(state_dict.get("sha256", ""))


def began_with(content: Mapping[str, Any]) -> str:
    """The hash of the file with whose weights the run of a checkpoint began; empty if it isn't known."""
    state = content.get("callbacks", {}).get(WarmStart.__name__)
    return str(state.get("sha256", "")) if isinstance(state, Mapping) else ""


def _weights_in(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        return {}
    for name in _INNER:
        if isinstance(content.get(name), Mapping):
            content = content[name]
            break
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _beginnings(names: Iterable[str]) -> list[str]:
    """Nothing, and what most of the names begin with: up to three parts, such as ``model.network.``."""
    listed = list(names)
    counts: Counter[str] = Counter()
    for name in listed:
        parts = name.split(".")
        counts.update(".".join(parts[:number]) + "." for number in (1, 2, 3) if number < len(parts))
    return ["", *(beginning for beginning, count in counts.items() if 2 * count >= len(listed))]


def _fitting(expected: Weights, saved: Weights, there: str, here: str) -> Iterable[tuple[str, str]]:
    for name, tensor in expected.items():
        source = there + name.removeprefix(here) if name.startswith(here) else ""
        if source in saved and saved[source].shape == tensor.shape:
            yield name, source


def _makes_layers_later(model: pl.LightningModule) -> bool:
    return is_overridden("configure_model", model) or is_overridden("setup", model)


def _require_taken(found: Match, model: pl.LightningModule, path: Path) -> None:
    if not found.taken:
        raise UsageError(
            f"--init_from {str(path)!r}: nothing in it fits {type(model).__name__}: {found}; give the weights of a "
            "network of this kind"
        )


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
