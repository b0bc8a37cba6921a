"""Which metric names are sent to the service, and what they are called there."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from lightning_app.azureml.service_limits import AZURE_ML, Limits

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
        limits: Of the service.
    """

    def __init__(
        self,
        priority: Sequence[str],
        known: Mapping[str, str | None],
        record: Callable[[str, str | None], None],
        prefix: str = "",
        taken: Iterable[str] = (),
        limits: Limits = AZURE_ML,
    ) -> None:
        self.limits = limits
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
        most = self.limits.metric_names
        if most is None:
            return True
        first = priority or any(fnmatchcase(name, pattern) for pattern in self._priority)
        taken = len(self._taken) + sum(service_name is not None for service_name in self._service_names.values())
        return taken < most - (0 if first else RESERVED)

    def _unused(self, name: str) -> str:
        plain = name.strip()  # a space at the end makes azureml-core's get_metrics raise
        service_name, longest = f"{self._prefix}{plain}", self.limits.name_length
        used = {_alike(found) for found in (*self._taken, *self._service_names.values()) if found is not None}
        accepted = accepted_name(service_name, self.limits)
        if plain and len(accepted) <= longest and accepted == service_name and _alike(accepted) not in used:
            return accepted
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
        return f"{accepted[: longest - 9]}{'~' if self.limits.name_pattern is None else '-'}{digest}"


def accepted_name(name: str, limits: Limits) -> str:
    """A name of characters that the service accepts; MLflow takes it for a path as well, which must be plain."""
    if limits.name_pattern is None:
        return name
    plain = "".join(character if limits.name_pattern.fullmatch(character) else "_" for character in name)
    return "/".join("_" if part.strip(".") == "" else part for part in plain.split("/"))


def _alike(name: str) -> str:
    """The same for names that a service or a person may take for one: they differ in case or in spelling only."""
    return unicodedata.normalize("NFKC", name).casefold()
