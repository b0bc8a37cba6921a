"""Everything that a run folder has for Azure ML, delivered once, and tried again while the service fails."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from filelock import FileLock

from lightning_app.azureml import service_limits
from lightning_app.azureml.azureml_run import AzureMLRun, DeliveryError, MetricSender
from lightning_app.azureml.batches import JournalUploader
from lightning_app.azureml.chart_files import ChartFile
from lightning_app.azureml.delivery_log import DeliveryLog
from lightning_app.azureml.journal import truncate_torn_line
from lightning_app.azureml.metric_names import MetricNames
from lightning_app.run_folder import RunFolder

_LONGEST_PAUSE = 30.0  # seconds between two tries


class RetryingUploader:
    """Delivers a run folder, again and again, as long as its owner wants.

    Must be used as a context manager: it holds the folder's lock, which ends with the process, however that ends.

    Raises:
        filelock.Timeout: Another sender is at work on the folder.
    """

    def __init__(
        self, folder: RunFolder, priority: Sequence[str], tell: Callable[[str], None], wait_for_lock: float = -1
    ) -> None:
        # azureml-core takes the expiry of the run's token for local time and compares it with UTC (measured)
        os.environ["TZ"] = "UTC"
        if hasattr(time, "tzset"):  # not on Windows
            time.tzset()
        self._folder, self._priority, self._tell = folder, priority, tell
        self._lock = FileLock(folder.delivery_lock, timeout=wait_for_lock)
        self._courier: Uploader | None = None
        self._pause = 0.0
        self._failed_at = self._next_try = 0.0
        self.trouble: DeliveryError | None = None

    def __enter__(self) -> "RetryingUploader":
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def deliver(self, *, at_the_end: bool) -> bool:
        """Whether all that is there now has been delivered; False as well where it is too early for another try.

        ``at_the_end`` nothing is left for later, and a new try comes every second; what the service asked for is
        still respected.
        """
        if at_the_end and self.trouble is not None:
            self._next_try = min(self._next_try, self._failed_at + max(1.0, self.trouble.retry_after))
        if time.monotonic() < self._next_try:
            return False
        try:
            if self._courier is None:
                self._courier = Uploader(self._folder, AzureMLRun(), self._priority, self._tell)
            self._courier.deliver(at_the_end=at_the_end)
        except DeliveryError as error:
            self._wait(error)
            return False
        self.trouble, self._pause = None, 0.0
        return True

    def _wait(self, error: DeliveryError) -> None:
        self.trouble = error
        self._pause = min(_LONGEST_PAUSE, max(1.0, 2 * self._pause))
        self._failed_at = time.monotonic()
        self._next_try = self._failed_at + max(self._pause, error.retry_after)


class Uploader:
    """Brings what isn't at the service yet, each value once.

    Args:
        folder: The run folder.
        service: The run at the service.
        priority: Patterns of the metric names that matter most.
        tell: Called with each line that the user should read, once a run.

    Raises:
        DeliveryError: The service failed, and nothing was begun.
    """

    def __init__(
        self, folder: RunFolder, service: AzureMLRun, priority: Sequence[str], tell: Callable[[str], None]
    ) -> None:
        self._folder, self._service, self._tell = folder, service, tell
        truncate_torn_line(folder.delivery_log)
        self._ledger = delivery_log = DeliveryLog.read(folder.delivery_log, service.run_id)
        had = service.metric_names() if delivery_log.service_had_metrics or not delivery_log.begun else []
        self._dispatch = MetricSender(service, service.held(had))
        if not delivery_log.begun:
            delivery_log.begin(service_had_metrics=bool(had))
        self._names = MetricNames(priority, delivery_log.names, self._name_decided)
        self._journal = JournalUploader(folder, delivery_log, self._names, self._dispatch, self._tell_once)
        self._charts_failed = False
        self._findings: dict[str, str] = {}
        self._nonfinite_told = 0
        self._hyperparameters_read: tuple[int, dict[str, str]] = (0, {})

    def deliver(self, *, at_the_end: bool) -> None:
        """Delivers all that there is now; charts come last, and after one that failed only at the end.

        azureml-core tries an upload for more than a minute, during which nothing else is delivered.

        Raises:
            DeliveryError: The service failed; calling again goes on where this stopped.
        """
        self._journal.deliver()
        self._deliver_tags(at_the_end)
        if self._charts_failed and not at_the_end:
            return
        self._charts_failed = True
        for path in sorted(self._folder.charts.glob("*.json")):
            if self._ledger.charts.get(path.name) not in ("sent", "refused"):
                self._deliver_chart(ChartFile.read(path))
        self._charts_failed = False

    def _deliver_chart(self, chart: ChartFile) -> None:
        service_name = self._names.service_name(chart.name, priority=True)
        if service_name is None:
            self._ledger.chart(chart.path.name, "refused")
            return
        attempt = self._ledger.attempts.get(chart.path.name, 0) + 1
        self._ledger.chart(chart.path.name, "sending")
        artifact = chart.artifact(attempt)
        address = self._service.address(artifact.path) if artifact else None
        values = self._dispatch.missing(chart.values(service_name, address), unconfirmed=attempt > 1)
        if artifact and values:
            self._service.upload(artifact.path, artifact.content)
        refused = self._dispatch.send(values, unconfirmed=False)
        self._ledger.chart(chart.path.name, "refused" if refused else "sent")
        for reason in refused.values():
            self._tell_once(f"Azure ML refuses the chart {chart.name!r} ({reason}); it is in {chart.path}.")

    def _deliver_tags(self, at_the_end: bool) -> None:
        if at_the_end or self._journal.nonfinite.total() >= 2 * self._nonfinite_told:  # not a request each second
            self._findings = self._found()
            self._nonfinite_told = self._journal.nonfinite.total()
        wanted = self._findings | self._hyperparameters()
        if wanted.items() <= self._ledger.tags.items():
            return
        tags = fit_tags(wanted, self._service.tags())
        self._service.set_tags(tags)
        self._ledger.tagged(wanted)
        if len(tags) < len(wanted):
            self._tell_once(
                f"Azure ML takes {service_limits.TAGS} tags a run; {len(wanted) - len(tags)} hyperparameters are in "
                f"{self._folder.hyperparameters} alone."
            )

    def _hyperparameters(self) -> dict[str, str]:
        path = self._folder.hyperparameters
        if not path.exists():
            return {}
        written = path.stat().st_mtime_ns
        if written != self._hyperparameters_read[0]:
            self._hyperparameters_read = written, to_tags(yaml.safe_load(path.read_text()) or {})
        return self._hyperparameters_read[1]

    def _found(self) -> dict[str, str]:
        """What somebody who looks at the run must know of its metrics."""
        counts = self._journal.nonfinite
        found = {
            "nonfinite_metrics": ", ".join(f"{name} {count}" for name, count in counts.items()),
            "metrics_in_journal_only": ", ".join(self._names.unassigned),
        }
        return to_tags({name: text for name, text in found.items() if text})

    def _name_decided(self, name: str, service_name: str | None) -> None:
        self._ledger.named(name, service_name)
        if service_name is None:
            self._tell_once(
                f"Azure ML takes {service_limits.METRIC_NAMES} metric names a run; the values of further ones, such as "
                f"{name!r}, are in {self._folder.journal} alone. The logger's priority decides which ones are sent.",
                key="metric names",
            )
        elif service_name != name:
            self._tell_once(f"Azure ML knows the metric {name!r} as {service_name!r}.")

    def _tell_once(self, text: str, key: str = "") -> None:
        if self._ledger.tell(key or text):
            self._tell(text)


def to_tags(content: Mapping[str, Any]) -> dict[str, str]:
    """Names and texts as tags have them: nested names joined by dots, what is too long ends in ``...``."""
    return {
        _truncate(name, service_limits.TAG_NAME): _truncate(str(value), service_limits.TAG_VALUE)
        for name, value in _flat(content)
    }


def fit_tags(tags: Mapping[str, str], there: Mapping[str, str]) -> dict[str, str]:
    """Those, in their order, for which there is room beside the tags that the run has already."""
    free = service_limits.TAGS - len(there.keys() - tags.keys())
    return dict(list(tags.items())[: max(0, free)])


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in content.items():
        nested = isinstance(value, Mapping) and value
        flat += _flat(value, f"{prefix}{name}.") if nested else [(f"{prefix}{name}", value)]
    return flat


def _truncate(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
