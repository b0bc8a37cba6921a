"""Which metric names are sent to the service, and what they are called there."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from lightning_app.azureml import service_limits

RESERVED = 10  # names, for those with priority that come late, such as the first validation's
DEFAULT_PRIORITY = ("val_*", "test_*", "train_*")


class MetricNames:
    """Assigns names at the service in the order in which they come; the last ``RESERVED`` only to names with priority.

    Args:
        priority: Shell patterns such as ``val_*``; upper and lower case differ.
        known: Names that an earlier sender has assigned.
        record: Called with each assignment, so that the next sender keeps it.
        prefix: What names at the service begin with.
        taken: Names that the service has from others.
    """

    def __init__(
        self,
        priority: Sequence[str],
        known: Mapping[str, str | None],
        record: Callable[[str, str | None], None],
        prefix: str = "",
        taken: Iterable[str] = (),
    ) -> None:
        self._priority = tuple(priority)
        self._service_names = dict(known)
        self._record = record
        self._prefix = prefix
        self._taken = set(taken) - {name for name in known.values() if name is not None}

    def service_name(self, name: str, *, priority: bool = False) -> str | None:
        """The name at the service; None if there is no room for it. It never changes."""
        if name not in self._service_names:
            self._service_names[name] = self._unused(name) if self._has_room(name, priority) else None
            self._record(name, self._service_names[name])
        return self._service_names[name]

    @property
    def unassigned(self) -> list[str]:
        """The names whose values are only in the journal."""
        return [name for name, service_name in self._service_names.items() if service_name is None]

    def _has_room(self, name: str, priority: bool) -> bool:
        first = priority or any(fnmatchcase(name, pattern) for pattern in self._priority)
        taken = len(self._taken) + sum(service_name is not None for service_name in self._service_names.values())
        return taken < service_limits.METRIC_NAMES - (0 if first else RESERVED)

    def _unused(self, name: str) -> str:
        plain = name.strip()  # a space at the end makes azureml-core's get_metrics raise
        service_name = f"{self._prefix}{plain}"
        used = {_alike(found) for found in (*self._taken, *self._service_names.values()) if found is not None}
        if plain and len(service_name) <= service_limits.TEXT and _alike(service_name) not in used:
            return service_name
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        return f"{service_name[: service_limits.TEXT - 9]}~{digest}"


def _alike(name: str) -> str:
    """The same for names that a service or a person may take for one: they differ in case or in spelling only."""
    return unicodedata.normalize("NFKC", name).casefold()
