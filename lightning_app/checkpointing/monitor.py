"""The monitor: which metric chooses ``best.ckpt``, and its best value so far."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lightning_app.errors import UsageError

log = logging.getLogger(__name__)

Mode = Literal["min", "max"]
DEFAULT_NAMES = ("val_accuracy", "val_loss")  # the first one that is logged
_LOWER_IS_BETTER = {"loss", "error", "err", "mae", "mse", "rmse", "perplexity"}


@dataclass(frozen=True)
class Best:
    """The best value of the monitored metric, and the epoch (from 1) and the optimizer step at which it was reached."""

    score: float
    epoch: int
    step: int


class Monitor:
    """Compares the values of one metric.

    Args:
        name: The name under which the metric is logged; without it, ``val_accuracy`` or else ``val_loss``.
        mode: Whether the lowest or the highest value is best; without it, the lowest where a word of the name is
            ``loss``, ``error`` or another quantity that training decreases.
    """

    def __init__(self, name: str | None = None, mode: Mode | None = None) -> None:
        self._required = name is not None
        self._given_mode = mode
        self.name = name
        self.best: Best | None = None

    @property
    def mode(self) -> Mode:
        words = set(re.split(r"[^a-z]+", (self.name or "").lower()))
        return self._given_mode or ("min" if words & _LOWER_IS_BETTER else "max")

    @property
    def described(self) -> str:
        """``highest val_accuracy``."""
        return f"{'highest' if self.mode == 'max' else 'lowest'} {self.name}"

    def choose_default(self, logged: Sequence[str]) -> None:
        """Chooses the default name among those that a validation has logged, unless there is a name."""
        if self.name is None:
            self.name = next((name for name in DEFAULT_NAMES if name in logged), None)

    def check_logged(self, logged: Sequence[str], *, validated: bool) -> None:
        """Says in one line if no checkpoint can be the best one; ``logged`` are all metrics of an epoch.

        Raises:
            UsageError: The name that the user gave isn't logged.
        """
        names = ", ".join(logged) or "none"
        if self._required and self.name not in logged:
            raise UsageError(f"--monitor {self.name}: no metric of this name is logged; the logged ones are: {names}")
        if validated and self.name is None and logged:
            log.info("No best.ckpt is saved: give --monitor NAME to choose it by one of the metrics %s.", names)

    def is_better(self, score: float) -> bool:
        """Whether a value is better than the best so far; NaN and infinite values never are."""
        if not math.isfinite(score):
            return False
        if self.best is None:
            return True
        return score < self.best.score if self.mode == "min" else score > self.best.score

    def state_dict(self) -> dict[str, Any]:
        return {"monitor": self.name, "mode": self.mode, "best": asdict(self.best) if self.best else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues the comparison of an earlier run, unless that run compared something else."""
        name, best = state.get("monitor"), state.get("best")
        if best is None or (self._required and name != self.name):
            return
        self.name = name
        if self.mode == state.get("mode"):
            self.best = Best(**best)
