"""What a caller of ``log_metrics`` gives, as the numbers of a row."""

import logging
from collections.abc import Mapping
from typing import Any

from lightning_app.azureml.plain_values import is_finite, to_number
from lightning_app.errors import NonFiniteError

log = logging.getLogger(__name__)


class Numbers:
    """The values that are numbers; of each name whose values aren't, one warning says so."""

    def __init__(self) -> None:
        self._not_numbers: set[str] = set()

    def of(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """The numbers by name."""
        values: dict[str, float] = {}
        for name, value in metrics.items():
            number = to_number(value)
            if number is not None:
                values[str(name)] = number
            elif str(name) not in self._not_numbers:
                self._not_numbers.add(str(name))
                log.warning("Metric %r is not logged: expected a number; got %s.", name, _described(value))
        return values


def split_epoch(values: dict[str, float]) -> tuple[int | None, dict[str, float]]:
    """The epoch, which Lightning passes as a metric, and the other values; one that isn't whole stays a metric."""
    epoch = values.get("epoch")
    if epoch is None or not is_finite(epoch) or epoch != int(epoch):
        return None, values
    return int(epoch), {name: value for name, value in values.items() if name != "epoch"}


def require_finite(values: Mapping[str, float], step: int) -> None:
    """Raises NonFiniteError if a value is NaN or infinite."""
    found = {name: value for name, value in values.items() if not is_finite(value)}
    if found:
        values_text = ", ".join(f"{name} is {value}" for name, value in found.items())
        raise NonFiniteError(f"{values_text} at step {step}, and stop_on_nonfinite is set; try a lower learning rate")


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} of shape {tuple(shape)}" if shape is not None else f"{value!r:.60}"
