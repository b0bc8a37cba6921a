"""All that a run folder has for the service: rows, charts, tags."""

from collections.abc import Callable, Sequence

import yaml

from lightning_app.delivery import limits
from lightning_app.delivery.chart_files import ChartFile
from lightning_app.delivery.dispatch import Dispatch
from lightning_app.delivery.journal_delivery import JournalDelivery
from lightning_app.delivery.ledger import Ledger
from lightning_app.delivery.names import Names
from lightning_app.delivery.run_service import RunService
from lightning_app.delivery.tags import as_tags, fitting
from lightning_app.json_lines import cut_torn_line
from lightning_app.run_folder import RunFolder


class Courier:
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
        self, folder: RunFolder, service: RunService, priority: Sequence[str], tell: Callable[[str], None]
    ) -> None:
        self._folder, self._service, self._tell = folder, service, tell
        cut_torn_line(folder.ledger)
        self._ledger = ledger = Ledger.read(folder.ledger, service.run_id)
        had = service.metric_names() if ledger.service_had_metrics or not ledger.begun else []
        self._dispatch = Dispatch(service, service.held(had))
        if not ledger.begun:
            ledger.begin(service_had_metrics=bool(had))
        self._names = Names(priority, ledger.names, self._name_decided)
        self._journal = JournalDelivery(folder, ledger, self._names, self._dispatch, self._tell_once)
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
        spelling = self._names.spelling(chart.name, priority=True)
        if spelling is None:
            self._ledger.chart(chart.path.name, "refused")
            return
        attempt = self._ledger.attempts.get(chart.path.name, 0) + 1
        self._ledger.chart(chart.path.name, "sending")
        artefact = chart.artefact(attempt)
        address = self._service.address(artefact.path) if artefact else None
        values = self._dispatch.missing(chart.values(spelling, address), in_doubt=attempt > 1)
        if artefact and values:
            self._service.upload(artefact.path, artefact.content)
        refused = self._dispatch.send(values, in_doubt=False)
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
        tags = fitting(wanted, self._service.tags())
        self._service.set_tags(tags)
        self._ledger.tagged(wanted)
        if len(tags) < len(wanted):
            self._tell_once(
                f"Azure ML takes {limits.TAGS} tags a run; {len(wanted) - len(tags)} hyperparameters are in "
                f"{self._folder.hyperparameters} alone."
            )

    def _hyperparameters(self) -> dict[str, str]:
        path = self._folder.hyperparameters
        if not path.exists():
            return {}
        written = path.stat().st_mtime_ns
        if written != self._hyperparameters_read[0]:
            self._hyperparameters_read = written, as_tags(yaml.safe_load(path.read_text()) or {})
        return self._hyperparameters_read[1]

    def _found(self) -> dict[str, str]:
        """What somebody who looks at the run must know of its metrics."""
        counts = self._journal.nonfinite
        found = {
            "nonfinite_metrics": ", ".join(f"{name} {count}" for name, count in counts.items()),
            "metrics_in_journal_only": ", ".join(self._names.without_place),
        }
        return as_tags({name: text for name, text in found.items() if text})

    def _name_decided(self, name: str, spelling: str | None) -> None:
        self._ledger.named(name, spelling)
        if spelling is None:
            self._tell_once(
                f"Azure ML takes {limits.METRIC_NAMES} metric names a run; the values of further ones, such as "
                f"{name!r}, are in {self._folder.journal} alone. The logger's priority decides which ones are sent.",
                key="metric names",
            )
        elif spelling != name:
            self._tell_once(f"Azure ML knows the metric {name!r} as {spelling!r}.")

    def _tell_once(self, text: str, key: str = "") -> None:
        if self._ledger.tell(key or text):
            self._tell(text)
