"""A loss that is NaN or infinite: one line when it first is, and what that means for the run."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from lightning_app.errors import NonFiniteError
from lightning_app.trainer.step_hooks import StepHooks

log = logging.getLogger(__name__)

_REMEDY = "try a lower --learning_rate or --trainer.gradient_clip_val 1, or look for such values in the data"
_STEPS_ON_A_GPU = 50  # between looks at the loss: each one waits until the GPU has computed it


class NonFiniteLoss(StepHooks, pl.Callback):
    """Looks at the loss of each training step, on a GPU at that of each 50th and at an epoch's last.

    Args:
        stop: Whether a loss that is NaN or infinite ends the run.

    Raises:
        NonFiniteError: In training, if ``stop`` is set.
    """

    def __init__(self, stop: bool) -> None:
        self._stop = stop
        self.first_step: int | None = None
        self.is_last = False  # whether the loss that was seen last is NaN or infinite

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._look_at(outputs.get("loss") if isinstance(outputs, Mapping) else outputs, trainer, batch_idx)

    def after_plain_batch(self, trainer: pl.Trainer, batch: Any, batch_idx: int, loss: torch.Tensor | None) -> None:
        self._look_at(loss, trainer, batch_idx)

    def _look_at(self, loss: object, trainer: pl.Trainer, batch_idx: int) -> None:
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            return
        if loss.is_cpu or (batch_idx + 1) % _STEPS_ON_A_GPU == 0 or trainer.is_last_batch:
            value = loss.item()
            self.is_last = not math.isfinite(value)
            if self.is_last and self.first_step is None:
                self._found(value, trainer.global_step)

    def _found(self, value: float, step: int) -> None:
        self.first_step = step
        if self._stop:
            raise NonFiniteError(f"the loss is {value} at step {step}, and stop_on_nonfinite is set; {_REMEDY}")
        log.warning("The loss is %s at step %s: %s.", value, f"{step:,}", _REMEDY)
