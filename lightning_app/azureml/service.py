"""A run at a service, as the delivery needs it, and how requests to it fail."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lightning_app.azureml.metric_value import MetricValue
from lightning_app.azureml.service_limits import Limits


class DeliveryError(Exception):
    """A request failed and can be retried.

    ``retry_after`` is the delay that the service asked for, in seconds; ``unconfirmed`` says whether the service may
    have handled the request; ``malformed`` whether it rejected the content, so that the same request would fail again.
    ``status_code`` is that of the response; None without one.
    """

    def __init__(
        self,
        message: str,
        *,
        unconfirmed: bool = True,
        malformed: bool = False,
        retry_after: float = 0.0,
        status_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.unconfirmed, self.malformed, self.retry_after = unconfirmed, malformed, retry_after


_NOT_STORED = {400, 401, 403, 404, 413, 429}


def delivery_error(message: str, status: int | None, headers: Mapping[str, str], *, never_sent: bool) -> DeliveryError:
    """The error of a request that got this status, or no response at all, or was never sent."""
    after = headers.get("Retry-After", "")
    return DeliveryError(
        message,
        unconfirmed=status not in _NOT_STORED and not never_sent,
        malformed=status in (400, 413),
        retry_after=float(after) if after.isdecimal() else 0.0,
        status_code=status,
    )


@dataclass(frozen=True)
class Attempt:
    """What is known of a run folder when its delivery begins or goes on.

    Args:
        earlier_names: The names of metrics that the service had before.
        prefix: What the folder's names begin with at the service.
        generation: The number of the journal among those of the folder.
        begun: When the delivery from this folder began; None if its log is of an earlier release.
        logged: The values of all rows that the journal has now.
    """

    earlier_names: Sequence[str]
    prefix: str
    generation: int
    begun: datetime | None
    logged: Callable[[], Iterable[MetricValue]]


class KeepsNoFilesError(Exception):
    """The service keeps files where only a client with further libraries can write them; the message is one line."""


class Service(Protocol):
    """A run at a service. Each of these methods raises DeliveryError if the service fails."""

    @property
    def limits(self) -> Limits: ...
    @property
    def run_id(self) -> str: ...
    @property
    def is_of_one_folder(self) -> bool:
        """Whether the run was created for a run folder, so that no other folder logs to it."""

    def id_of(self, value: MetricValue) -> str:
        """What distinguishes a value from all others of the run, the same each time it is sent."""

    def post(self, values: Sequence[MetricValue]) -> dict[str, str]:
        """Sends values in one request. Returns the names that the service refused, each with its reason."""

    def metric_names(self) -> list[str]:
        """The names of all metrics that the service has."""

    def stored_ids(self, service_names: Iterable[str]) -> set[str]:
        """The ids of all values that the service has under these names."""

    def stored_before(self, attempt: Attempt) -> Callable[[MetricValue], bool]:
        """Whether a value was stored from a disk that was lost, and is logged again now."""

    def tags(self) -> dict[str, str]:
        """All tags of the run."""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Adds or replaces tags."""

    def params(self) -> dict[str, str]:
        """All parameters of the run."""

    def log_params(self, params: Mapping[str, str]) -> dict[str, str]:
        """Adds parameters. Returns the names that the service refused, each with its reason."""

    def address(self, path: str) -> str | None:
        """The address by which a metric refers to an artifact; None where charts are artifacts alone."""

    def upload(self, path: str, content: bytes) -> None:
        """Uploads an artifact; Azure ML refuses a path that exists. Raises KeepsNoFilesError as well."""

    def report_end(self) -> None:
        """Called when everything is delivered: sets how the run stands, where that isn't the platform's to say."""
