"""Everything that a run folder has for a service, delivered once, and tried again while the service fails."""

import os
import time
from collections.abc import Callable, Iterator, Sequence

from filelock import FileLock

from lightning_app.azureml.batches import ROWS_PER_READ, JournalReader, JournalUploader, make_batches
from lightning_app.azureml.chart_delivery import ChartUploader
from lightning_app.azureml.delivery_log import DeliveryLog
from lightning_app.azureml.destination import Destination
from lightning_app.azureml.journal_identity import JournalIdentity, require_identity
from lightning_app.azureml.json_lines import complete_last_line
from lightning_app.azureml.labels import LabelUploader, to_tags
from lightning_app.azureml.metric_names import MetricNames
from lightning_app.azureml.metric_sender import MetricSender
from lightning_app.azureml.metric_value import MetricValue
from lightning_app.azureml.service import Attempt, DeliveryError, Service
from lightning_app.azureml.service_folder import name_prefix
from lightning_app.run_folder import RunFolder

_LONGEST_DELAY = 30.0  # seconds between two attempts


class RetryingUploader:
    """Delivers a run folder and retries while the service fails.

    Use it as a context manager: it holds the folder's lock, which the system releases when the process ends.

    Args:
        folder: The run folder.
        destination: Where its rows go; it can be sent to.
        priority: Patterns of the metric names that matter most.
        notify: Called with each message for the user, once per run.
        wait_for_lock: Seconds; negative for any time.

    Raises:
        filelock.Timeout: Another process delivers this folder.
    """

    def __init__(
        self,
        folder: RunFolder,
        destination: Destination,
        priority: Sequence[str],
        notify: Callable[[str], None],
        wait_for_lock: float = -1,
    ) -> None:
        # azureml-core reads the expiry of the run's token as local time and compares it with UTC (measured)
        os.environ["TZ"] = "UTC"
        if hasattr(time, "tzset"):  # not on Windows
            time.tzset()
        self._folder, self._destination, self._priority, self._notify = folder, destination, priority, notify
        self._lock = FileLock(folder.delivery_lock, timeout=wait_for_lock)
        self._uploader: Uploader | None = None
        self._delay = 0.0
        self._failed_at = self._next_attempt = 0.0
        self.last_error: DeliveryError | None = None

    def __enter__(self) -> "RetryingUploader":
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def deliver(self, *, final: bool) -> bool:
        """Delivers what is there now. Returns False if something is left or the next attempt isn't due yet.

        With ``final`` nothing is postponed, and an attempt is made every second, but not before the service's own
        ``Retry-After``.
        """
        if final and self.last_error is not None:
            self._next_attempt = min(self._next_attempt, self._failed_at + max(1.0, self.last_error.retry_after))
        if time.monotonic() < self._next_attempt:
            return False
        try:
            if self._uploader is None or self._uploader.is_outdated:
                self._uploader = Uploader(self._folder, self.prepare()(), self._priority, self._notify)
            self._uploader.deliver(final=final)
        except DeliveryError as error:
            self._postpone(error)
            return False
        self.last_error, self._delay = None, 0.0
        return True

    def prepare(self) -> Callable[[], Service]:
        """Imports what the destination needs, and nothing else; returns what makes the first requests."""
        tracking = self._destination.tracking
        if tracking is None:
            from lightning_app.azureml.azureml_run import AzureMLRun

            return AzureMLRun
        from lightning_app.azureml.mlflow.rest import Rest
        from lightning_app.azureml.mlflow.run import MlflowRun

        return lambda: MlflowRun(Rest(tracking), self._destination.run_id, self._folder)

    def _postpone(self, error: DeliveryError) -> None:
        self.last_error = error
        self._delay = min(_LONGEST_DELAY, max(1.0, 2 * self._delay))
        self._failed_at = time.monotonic()
        self._next_attempt = self._failed_at + max(self._delay, error.retry_after)


class Uploader:
    """Uploads what the service doesn't have yet, each value once.

    Args:
        folder: The run folder.
        service: The run at the service.
        priority: Patterns of the metric names that matter most.
        notify: Called with each message for the user, once per run.

    Raises:
        DeliveryError: The service failed before anything was sent.
    """

    def __init__(
        self, folder: RunFolder, service: Service, priority: Sequence[str], notify: Callable[[str], None]
    ) -> None:
        self._folder, self._service, self._notify = folder, service, notify
        complete_last_line(folder.delivery_log)
        identity = require_identity(folder, service.run_id)
        self._log = log = DeliveryLog.read(folder.delivery_log, service.run_id, identity.id)
        prefix = log.prefix if log.begun else self._prefix(identity)
        earlier = service.metric_names() if log.service_had_metrics or not log.begun or prefix else []
        if not log.begun:
            log.begin(bool(earlier), prefix)
        taken = [name for name in earlier if not name.startswith(prefix)] if prefix else []
        self._names = MetricNames(priority, log.names, self._record_name, prefix, taken, service.limits)
        attempt = Attempt(earlier, prefix, identity.generation, log.begun_at, lambda: self._logged(identity))
        sender = MetricSender(service, service.stored_before(attempt))
        self._journal = JournalUploader(folder, log, self._names, sender, self._notify_once)
        self._labels = LabelUploader(folder, service, log, identity.generation, self._notify_once)
        self._charts = ChartUploader(folder, service, log, self._names, sender, self._notify_once)
        if prefix:
            name = service.limits.service
            self._notify_once(f"{folder.root} is called {prefix[:-1]} at {name}: its metrics are {prefix}NAME there.")
        self._summary_tags: dict[str, str] = {}
        self._nonfinite_reported = 0

    @property
    def is_outdated(self) -> bool:
        """Whether the folder has another journal than the one that was delivered."""
        return self._journal.is_outdated

    def deliver(self, *, final: bool) -> None:
        """Delivers what is there now: rows, then tags, then charts.

        Raises:
            DeliveryError: The service failed; the next call continues from there.
        """
        self._journal.deliver()
        self._deliver_labels(final)
        self._charts.deliver(final=final)
        self._service.report_end()

    def _deliver_labels(self, final: bool) -> None:
        if final or self._journal.nonfinite.total() >= 2 * self._nonfinite_reported:  # otherwise a request each second
            self._summary_tags = self._summarise()
            self._nonfinite_reported = self._journal.nonfinite.total()
        self._labels.deliver(self._summary_tags)

    def _summarise(self) -> dict[str, str]:
        """Tags about metrics that the service doesn't have."""
        counts = self._journal.nonfinite
        content = {
            "nonfinite_metrics": ", ".join(f"{name} {count}" for name, count in counts.items()),
            "metrics_in_journal_only": ", ".join(self._names.unassigned),
        }
        return to_tags({name: text for name, text in content.items() if text}, self._service.limits)

    def _prefix(self, identity: JournalIdentity) -> str:
        return "" if self._service.is_of_one_folder else name_prefix(self._service, identity)

    def _logged(self, identity: JournalIdentity) -> Iterator[MetricValue]:
        reader = JournalReader(self._folder.journal)
        first = 0
        while rows := reader.read(ROWS_PER_READ):
            for batch in make_batches(rows, first, self._names, identity):
                yield from batch.values
            first = reader.next_row

    def _record_name(self, name: str, service_name: str | None) -> None:
        self._log.named(name, service_name)
        limits = self._service.limits
        if service_name is None:
            self._notify_once(
                f"{limits.service} accepts {limits.metric_names} metric names per run; the values of others, such as "
                f"{name!r}, are only in {self._folder.journal}. The logger's priority decides which ones are sent.",
                key="metric names",
            )
        elif service_name != f"{self._log.prefix}{name}":
            self._notify_once(f"The metric {name!r} is called {service_name!r} at {limits.service}.")

    def _notify_once(self, text: str, key: str = "") -> None:
        if self._log.first_notification(key or text):
            self._notify(text)
