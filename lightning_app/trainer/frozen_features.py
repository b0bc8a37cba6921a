"""A frozen backbone computes the features of each image once, and the epochs train the head on them."""

import functools
import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from datamodules.feature_loader import FeatureLoader
from datamodules.feature_table import features_folder
from lightning_app.console import format_count
from lightning_app.errors import UsageError
from models import ImageClassifier

log = logging.getLogger(__name__)

_KNOWN = {"models", "datamodules", "lightning_app", "pytorch_lightning", "lightning_fabric"}  # packages
_MODEL_HOOKS = ("logits", "training_step", "validation_step", "frozen_backbone")
_BATCH_HOOKS = (
    *("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer"),
    *("on_train_batch_start", "on_train_batch_end", "on_validation_batch_start", "on_validation_batch_end"),
)
_AT_ONCE = 256  # images, on a GPU


class FrozenFeatures(pl.Callback):
    """In ``fit``, batches have features in place of images, which a frozen backbone computes once for each view.

    It is for an ``ImageClassifier`` with a ``frozen_backbone``, and for datamodules of this project. Where something of
    the user's own gets the batches, and would find features in place of images, it does nothing, and says so. The
    model, its checkpoints and all other commands are the same with it and without it.
    """

    def __init__(self) -> None:
        self._wrapped: Any = None  # the datamodule whose loaders are wrapped

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._restore()
        if stage != "fit" or not isinstance(pl_module, ImageClassifier):
            return
        if not pl_module.feature_views or pl_module.frozen_backbone() is None:
            return
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]  # a connector of the Trainer sets it
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if reason := _reason_against(pl_module, datamodule, callbacks):
            if getattr(pl_module, "learning_rates", ()):
                raise UsageError(
                    f"--model.learning_rates: needs features in place of images, but {reason}; remove that, or give "
                    "one --learning_rate"
                )
            log.info("The frozen backbone computes at each step: %s.", reason)
            return
        backbone = FrozenBackbone(trainer, pl_module, datamodule)
        self._wrapped = datamodule
        datamodule.train_dataloader = _with_features(datamodule.train_dataloader, backbone, pl_module.feature_views)
        datamodule.val_dataloader = _with_features(datamodule.val_dataloader, backbone, 1)
        log.info(
            "The frozen backbone computes each image once, in %s for training (--model.feature_views); kept in %s.",
            format_count(pl_module.feature_views, "view"),
            features_folder(),
        )

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._restore()

    def _restore(self) -> None:
        if self._wrapped is not None:
            del self._wrapped.train_dataloader, self._wrapped.val_dataloader
            self._wrapped = None


class FrozenBackbone:
    """What a ``FeatureLoader`` needs of a model that a Trainer fits."""

    def __init__(self, trainer: pl.Trainer, model: ImageClassifier, datamodule: pl.LightningDataModule) -> None:
        self._trainer, self._model, self._datamodule = trainer, model, datamodule
        self._hashed: tuple[Any, str] | None = None  # the versions of the weights, and their hash
        self._said = False

    @property
    def width(self) -> int:
        return self._model.feature_width

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self._weights()[0].dtype == torch.float64 else torch.float32

    @property
    def at_once(self) -> int:
        return 1 if self._device.type == "cpu" else _AT_ONCE

    @property
    def key(self) -> str | None:
        backbone = self._model.frozen_backbone()
        if backbone is None or any(parameter.requires_grad for parameter in backbone.parameters()):
            return None
        machine = [str(self._device), self._trainer.precision, self._uses_bf16()]
        if self._device.type == "cuda":
            machine.append(torch.cuda.get_device_name(self._device))
        else:  # sums are rounded differently with other instructions, and with another number of threads
            machine += [torch.backends.cpu.get_cpu_capability(), _instructions(), torch.get_num_threads()]
        return f"{self._weights_hash()} {machine}"

    def features(self, images: Tensor) -> Tensor:
        backbone = self._model.frozen_backbone()
        assert backbone is not None
        backbone.eval()  # as in each of its steps: its batch norms keep their statistics
        pictures = self.pictures(images)  # outside of the Trainer's precision, as in each of its steps
        bf16 = torch.autocast(self._device.type, torch.bfloat16) if self._uses_bf16() else nullcontext()
        with torch.no_grad(), self._trainer.precision_plugin.forward_context(), bf16:
            features: Tensor = backbone(pictures)
        return features

    def pictures(self, images: Tensor) -> Tensor:
        on_device = images.to(self._device, non_blocking=True)
        pictures: Tensor = self._datamodule.on_after_batch_transfer((on_device, on_device), 0)[0]
        return pictures

    @property
    def _device(self) -> torch.device:
        return self._trainer.strategy.root_device

    def _uses_bf16(self) -> bool:
        if not self._model.bf16_features:
            return False
        fast = computes_bf16(self._device)
        if not fast and not self._said:
            log.info("--model.bf16_features: this machine has no instructions for bfloat16; computing without it.")
        self._said = True
        return fast

    def _weights(self) -> list[Tensor]:
        backbone = self._model.frozen_backbone()
        assert backbone is not None
        return list(backbone.state_dict().values())

    def _weights_hash(self) -> str:
        weights = self._weights()
        versions = [(weight.data_ptr(), weight._version) for weight in weights]
        if self._hashed is None or self._hashed[0] != versions:
            digest = hashlib.sha256(str([(weight.shape, weight.dtype) for weight in weights]).encode())
            for weight in weights:
                digest.update(weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
            self._hashed = versions, digest.hexdigest()
        return self._hashed[1]


def computes_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; without them, a conversion takes more time than it saves."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool({"avx512_bf16", "amx_bf16", "bf16"} & set(_instructions()))


@functools.cache
def _instructions() -> list[str]:
    """Those sets of instructions of the processor that matter here, as Linux names them; none where it isn't Linux."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    lines = (line.partition(":")[2] for line in text.splitlines() if line.lower().startswith(("flags", "features")))
    flags = set(next(lines, "").split())
    return sorted(flags & {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile", "bf16", "sve"})


def _with_features(make_loader: Callable[[], Any], backbone: FrozenBackbone, views: int) -> Callable[[], Any]:
    def make() -> Any:
        loader = make_loader()
        return FeatureLoader(loader, backbone, views) if FeatureLoader.supports(loader) else loader

    return make


def _reason_against(model: ImageClassifier, datamodule: Any, callbacks: Sequence[pl.Callback]) -> str | None:
    """Why features can't take the place of images; None if they can."""
    if datamodule is None:
        return "it needs a datamodule of this project"
    for holder, hooks in ((model, (*_MODEL_HOOKS, *_BATCH_HOOKS)), (datamodule, _BATCH_HOOKS)):
        if own := _own_hook(holder, hooks):
            return f"{own} gets the images"
    for callback in callbacks:
        if isinstance(callback, WeightAveraging):
            return f"{type(callback).__name__} averages its weights"
        if own := _own_hook(callback, _BATCH_HOOKS):
            return f"{own} gets the images"
    return None


def _own_hook(holder: object, hooks: Sequence[str]) -> str | None:
    """The first of these methods that a class of the user's own defines."""
    for hook in hooks:
        defining = next((cls for cls in type(holder).__mro__ if hook in vars(cls)), None)
        if defining is not None and defining.__module__.partition(".")[0] not in _KNOWN:
            return f"{defining.__name__}.{hook}"
    return None
