"""Which metric names go to the service, and how they are spelled there."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from lightning_app.azureml import service_limits

RESERVED = 10  # of the service's places, for names with priority that come late, such as the first validation's
DEFAULT_PRIORITY = ("val_*", "test_*", "train_*")


class MetricNames:
    """Gives the service's places to names as they come; the last ``RESERVED`` only to those with priority.

    Args:
        priority: Patterns such as ``val_*``, as of the shell and with upper and lower case told apart.
        known: What was decided before, by an earlier sender.
        note: Called with each decision, so that the next sender keeps to it.
    """

    def __init__(
        self, priority: Sequence[str], known: Mapping[str, str | None], note: Callable[[str, str | None], None]
    ) -> None:
        self._priority = tuple(priority)
        self._spelling = dict(known)
        self._note = note

    def service_name(self, name: str, *, priority: bool = False) -> str | None:
        """The name at the service; None where it has no place there. Never changes for a name."""
        if name not in self._spelling:
            self._spelling[name] = self._unused(name) if self._has_place(name, priority) else None
            self._note(name, self._spelling[name])
        return self._spelling[name]

    @property
    def unassigned(self) -> list[str]:
        """MetricNames whose values are in the journal alone."""
        return [name for name, service_name in self._spelling.items() if service_name is None]

    def _has_place(self, name: str, priority: bool) -> bool:
        first = priority or any(fnmatchcase(name, pattern) for pattern in self._priority)
        taken = sum(service_name is not None for service_name in self._spelling.values())
        return taken < service_limits.METRIC_NAMES - (0 if first else RESERVED)

    def _unused(self, name: str) -> str:
        service_name = name.strip()  # a space at the end makes azureml-core's get_metrics raise
        if 0 < len(service_name) <= service_limits.TEXT and service_name not in self._spelling.values():
            return service_name
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{service_name[: service_limits.TEXT - 9]}~{digest}"
