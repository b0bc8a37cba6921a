"""``--early_stopping N``: ends a training that no longer improves."""

from typing import Any

import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor

from lightning_app.checkpointing.monitor import Monitor
from lightning_app.errors import UsageError


class NoImprovement(EarlyStopping):
    """Lightning's ``EarlyStopping`` for the metric that chooses ``best.ckpt``, whichever that is.

    NaN is no improvement, as for ``best.ckpt``. It comes before the checkpoints, which have its state.

    Args:
        validations: So many in a row without a better value end the training; epochs where there is no validation.
        monitor: The metric.
    """

    def __init__(self, validations: int, monitor: Monitor) -> None:
        super().__init__(monitor.name or "", patience=validations, mode=monitor.mode, check_finite=False)
        self._choice = monitor

    @property
    def state_key(self) -> str:
        return type(self).__name__  # Lightning's has the metric, which may not be known yet

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"monitor": self.monitor, "mode": self.mode}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting, unless another metric is compared now; the number that is given now counts."""
        self._choose([state_dict["monitor"]])
        if (self.monitor, self.mode) == (state_dict["monitor"], state_dict["mode"]):
            super().load_state_dict(state_dict | {"patience": self.patience})

    def _validate_condition_metric(self, logs: dict[str, Tensor]) -> bool:
        # before Lightning looks the metric up
        self._choose([*logs])
        if self.monitor not in logs:
            raise UsageError(
                f"--early_stopping {self.patience}: the metric {self.monitor or 'val_accuracy or val_loss'} isn't "
                f"logged; give validation images, or --monitor with one of the logged metrics: {', '.join(logs)}"
            )
        return True

    def _choose(self, logged: list[str]) -> None:
        self._choice.choose_default(logged)
        self.monitor, self.mode = self._choice.name or "", self._choice.mode
        if not self.best_score.isfinite():
            self.best_score = torch.tensor(torch.inf if self.mode == "min" else -torch.inf)
