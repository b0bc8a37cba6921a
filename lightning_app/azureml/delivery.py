"""Everything that a run folder has for Azure ML, delivered once, and tried again while the service fails."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from lightning_app.azureml import service_limits
from lightning_app.azureml.azureml_run import AzureMLRun, DeliveryError, MetricSender
from lightning_app.azureml.batches import JournalUploader
from lightning_app.azureml.chart_files import ChartFile
from lightning_app.azureml.delivery_log import DeliveryLog
from lightning_app.azureml.journal_identity import JournalIdentity, require_identity
from lightning_app.azureml.json_lines import complete_last_line
from lightning_app.azureml.metric_names import MetricNames
from lightning_app.azureml.service_folder import name_prefix
from lightning_app.run_folder import RunFolder

_LONGEST_DELAY = 30.0  # seconds between two attempts


class RetryingUploader:
    """Delivers a run folder and retries while the service fails.

    Use it as a context manager: it holds the folder's lock, which the system releases when the process ends.

    Raises:
        filelock.Timeout: Another process delivers this folder.
    """

    def __init__(
        self, folder: RunFolder, priority: Sequence[str], notify: Callable[[str], None], wait_for_lock: float = -1
    ) -> None:
        # azureml-core reads the expiry of the run's token as local time and compares it with UTC (measured)
        os.environ["TZ"] = "UTC"
        if hasattr(time, "tzset"):  # not on Windows
            time.tzset()
        self._folder, self._priority, self._notify = folder, priority, notify
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
                self._uploader = Uploader(self._folder, AzureMLRun(), self._priority, self._notify)
            self._uploader.deliver(final=final)
        except DeliveryError as error:
            self._postpone(error)
            return False
        self.last_error, self._delay = None, 0.0
        return True

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
        self, folder: RunFolder, service: AzureMLRun, priority: Sequence[str], notify: Callable[[str], None]
    ) -> None:
        self._folder, self._service, self._notify = folder, service, notify
        complete_last_line(folder.delivery_log)
        identity = require_identity(folder, service.run_id)
        self._log = log = DeliveryLog.read(folder.delivery_log, service.run_id, identity.id)
        prefix = log.prefix if log.begun else name_prefix(service, identity)
        earlier = service.metric_names() if log.service_had_metrics or not log.begun or prefix else []
        self._sender = MetricSender(service, service.stored_ids(earlier))
        if not log.begun:
            log.begin(bool(earlier), prefix)
        taken = [name for name in earlier if not name.startswith(prefix)] if prefix else []
        self._names = MetricNames(priority, log.names, self._record_name, prefix, taken)
        self._journal = JournalUploader(folder, log, self._names, self._sender, self._notify_once)
        if prefix:
            self._notify_once(f"{folder.root} is called {prefix[:-1]} at Azure ML: its metrics are {prefix}NAME there.")
        self._charts_failed = False
        self._summary_tags: dict[str, str] = {}
        self._nonfinite_reported = 0
        self._hyperparameters_read: tuple[int, dict[str, str]] = (0, {})

    @property
    def is_outdated(self) -> bool:
        """Whether the folder has another journal than the one that was delivered."""
        return self._journal.is_outdated

    def deliver(self, *, final: bool) -> None:
        """Delivers what is there now. Charts come last, and after a failed one only in the final call.

        azureml-core retries an upload for more than a minute, and nothing else is delivered meanwhile.

        Raises:
            DeliveryError: The service failed; the next call continues from there.
        """
        self._journal.deliver()
        self._deliver_tags(final)
        if self._charts_failed and not final:
            return
        self._charts_failed = True
        for path in sorted(self._folder.charts.glob("*.json"), key=_age):
            if self._log.charts.get(path.name) not in ("sent", "refused"):
                self._deliver_chart_file(path)
        self._charts_failed = False

    def _deliver_chart_file(self, path: Path) -> None:
        try:
            chart = ChartFile.read(path)
        except (ValueError, OSError):
            self._notify_once(f"{path}: no chart can be read from it, so it isn't sent; the others are.")
            return
        self._deliver_chart(chart, require_identity(self._folder, self._service.run_id))

    def _deliver_chart(self, chart: ChartFile, journal: JournalIdentity) -> None:
        service_name = self._names.service_name(chart.name, priority=True)
        if service_name is None:
            self._log.chart(chart.path.name, "refused")
            return
        attempt = self._log.attempts.get(chart.path.name, 0) + 1
        self._log.chart(chart.path.name, "sending")
        artifact = chart.artifact(attempt, journal, self._log.prefix)
        address = self._service.address(artifact.path) if artifact else None
        values = self._sender.missing(chart.values(service_name, address, journal), unconfirmed=attempt > 1)
        if artifact and values:
            self._service.upload(artifact.path, artifact.content)
        refused = self._sender.send(values, unconfirmed=False)
        self._log.chart(chart.path.name, "refused" if refused else "sent")
        for reason in refused.values():
            self._notify_once(f"Azure ML refuses the chart {chart.name!r} ({reason}); it is in {chart.path}.")

    def _deliver_tags(self, final: bool) -> None:
        if final or self._journal.nonfinite.total() >= 2 * self._nonfinite_reported:  # otherwise a request each second
            self._summary_tags = self._summarise()
            self._nonfinite_reported = self._journal.nonfinite.total()
        wanted = {
            f"{self._log.prefix}{name}"[: service_limits.TAG_NAME]: value
            for name, value in (self._summary_tags | self._hyperparameters()).items()
        }
        if wanted.items() <= self._log.tags.items():
            return
        tags = fit_tags(wanted, self._service.tags())
        self._service.set_tags(tags)
        self._log.tagged(wanted)
        if len(tags) < len(wanted):
            self._notify_once(
                f"Azure ML accepts {service_limits.TAGS} tags per run; {len(wanted) - len(tags)} hyperparameters are "
                f"only in {self._folder.hyperparameters}."
            )

    def _hyperparameters(self) -> dict[str, str]:
        path = self._folder.hyperparameters
        if not path.exists():
            return {}
        written = path.stat().st_mtime_ns
        if written != self._hyperparameters_read[0]:
            self._hyperparameters_read = written, to_tags(self._read_hyperparameters(path))
        return self._hyperparameters_read[1]

    def _read_hyperparameters(self, path: Path) -> Mapping[str, Any]:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError, RecursionError):
            content = ""
        if content is None or isinstance(content, Mapping):
            return content or {}
        self._notify_once(f"{path}: expected hyperparameters in YAML; without them the run gets no tags for them.")
        return {}

    def _summarise(self) -> dict[str, str]:
        """Tags about metrics that the service doesn't have."""
        counts = self._journal.nonfinite
        content = {
            "nonfinite_metrics": ", ".join(f"{name} {count}" for name, count in counts.items()),
            "metrics_in_journal_only": ", ".join(self._names.unassigned),
        }
        return to_tags({name: text for name, text in content.items() if text})

    def _record_name(self, name: str, service_name: str | None) -> None:
        self._log.named(name, service_name)
        if service_name is None:
            self._notify_once(
                f"Azure ML accepts {service_limits.METRIC_NAMES} metric names per run; the values of others, such as "
                f"{name!r}, are only in {self._folder.journal}. The logger's priority decides which ones are sent.",
                key="metric names",
            )
        elif service_name != f"{self._log.prefix}{name}":
            self._notify_once(f"The metric {name!r} is called {service_name!r} at Azure ML.")

    def _notify_once(self, text: str, key: str = "") -> None:
        if self._log.first_notification(key or text):
            self._notify(text)


def _age(path: Path) -> tuple[int, str]:
    """Orders files as they were written."""
    return path.stat().st_mtime_ns, path.name


def to_tags(content: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a mapping: nested names are joined by dots, and what is too long ends in ``...``."""
    return {
        _truncate(name, service_limits.TAG_NAME): _truncate(str(value), service_limits.TAG_VALUE)
        for name, value in _flat(content)
    }


def fit_tags(tags: Mapping[str, str], existing: Mapping[str, str]) -> dict[str, str]:
    """The first tags for which there is room beside the run's existing ones."""
    free = service_limits.TAGS - len(existing.keys() - tags.keys())
    return dict(list(tags.items())[: max(0, free)])


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in content.items():
        nested = isinstance(value, Mapping) and value
        flat += _flat(value, f"{prefix}{name}.") if nested else [(f"{prefix}{name}", value)]
    return flat


def _truncate(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
