"""The charts of a run folder, delivered as artifacts, and at Azure ML's own interface as metrics that refer to them."""

from collections.abc import Callable
from pathlib import Path

from lightning_app.azureml.chart_files import ChartFile
from lightning_app.azureml.delivery_log import DeliveryLog
from lightning_app.azureml.journal_identity import JournalIdentity, require_identity
from lightning_app.azureml.metric_names import MetricNames
from lightning_app.azureml.metric_sender import MetricSender
from lightning_app.azureml.service import KeepsNoFilesError, Service
from lightning_app.run_folder import RunFolder


class ChartUploader:
    """Sends each chart that isn't sent yet, as it was written.

    Args:
        folder: The run folder.
        service: The run at the service.
        delivery_log: Of the folder.
        names: Of metrics, which charts are at Azure ML's own interface.
        sender: Of metrics.
        notify_once: Called with each message for the user.
    """

    def __init__(
        self,
        folder: RunFolder,
        service: Service,
        delivery_log: DeliveryLog,
        names: MetricNames,
        sender: MetricSender,
        notify_once: Callable[[str], None],
    ) -> None:
        self._folder, self._service, self._log = folder, service, delivery_log
        self._names, self._sender, self._notify_once = names, sender, notify_once
        self._has_failed = False

    def deliver(self, *, final: bool) -> None:
        """After a failed one only in the final call: azureml-core retries an upload for more than a minute.

        Raises:
            DeliveryError: The service failed; the next call continues from there.
        """
        if self._has_failed and not final:
            return
        self._has_failed = True
        for path in sorted(self._folder.charts.glob("*.json"), key=_age):
            if self._log.charts.get(path.name) not in ("sent", "refused", "kept"):
                self._deliver_file(path)
        self._has_failed = False

    def _deliver_file(self, path: Path) -> None:
        try:
            chart = ChartFile.read(path)
        except (ValueError, OSError):
            self._notify_once(f"{path}: no chart can be read from it, so it isn't sent; the others are.")
            return
        journal = require_identity(self._folder, self._service.run_id)
        if self._service.address("") is None:
            self._deliver_files(chart, journal)
        else:
            self._deliver_metric(chart, journal)

    def _deliver_metric(self, chart: ChartFile, journal: JournalIdentity) -> None:
        service_name = self._names.service_name(chart.name, priority=True)
        if service_name is None:
            self._log.chart(chart.path.name, "refused")
            return
        attempt = self._begin(chart)
        artifact = chart.artifact(attempt, journal, self._log.prefix)
        address = self._service.address(artifact.path) if artifact else None
        values = self._sender.missing(chart.values(service_name, address, journal), unconfirmed=attempt > 1)
        if artifact and values:
            self._service.upload(artifact.path, artifact.content)
        refused = self._sender.send(values, unconfirmed=False)
        self._log.chart(chart.path.name, "refused" if refused else "sent")
        for reason in refused.values():
            self._notify_once(f"Azure ML refuses the chart {chart.name!r} ({reason}); it is in {chart.path}.")

    def _deliver_files(self, chart: ChartFile, journal: JournalIdentity) -> None:
        attempt = self._begin(chart)
        if self._service.limits.overwrites_files:
            attempt = 1
        try:
            for artifact in chart.files(attempt, journal, self._log.prefix):
                self._service.upload(artifact.path, artifact.content)
        except KeepsNoFilesError as error:
            self._log.chart(chart.path.name, "kept")
            self._notify_once(f"{self._service.limits.service}: {error}, so charts are only in {self._folder.charts}.")
            return
        self._log.chart(chart.path.name, "sent")

    def _begin(self, chart: ChartFile) -> int:
        """The number of this attempt."""
        attempt = self._log.attempts.get(chart.path.name, 0) + 1
        self._log.chart(chart.path.name, "sending")
        return attempt


def _age(path: Path) -> tuple[int, str]:
    """Orders files as they were written."""
    return path.stat().st_mtime_ns, path.name
