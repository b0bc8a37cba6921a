"""The rows of the journal, cut into requests and sent in their order."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_app.azureml.delivery_log import DeliveryLog
from lightning_app.azureml.journal import describe_foreign_lines, parse_row
from lightning_app.azureml.journal_identity import JournalIdentity, read_identity, require_identity
from lightning_app.azureml.metric_names import MetricNames
from lightning_app.azureml.metric_sender import MetricSender
from lightning_app.azureml.metric_value import MetricValue, scalar_value
from lightning_app.azureml.row_times import RowTimes, time_of
from lightning_app.azureml.service import DeliveryError
from lightning_app.growing_file import GrowingLines, read_file
from lightning_app.run_folder import RunFolder

_NO_ROW: Mapping[str, Any] = {"step": 0, "metrics": {}}  # in place of a line that is none


class JournalReader:
    """Returns the rows of a journal, each once, as they are written; an empty one for a line that is no row.

    ``next_row`` is the number of the next line, counted from 0.
    """

    def __init__(self, path: Path) -> None:
        self._lines = GrowingLines(read_file(path))
        self._surplus: deque[bytes] = deque()
        self._times = RowTimes()
        self.next_row = 0
        self.foreign_lines: list[tuple[int, bytes]] = []

    def read(self, at_most: int) -> list[Mapping[str, Any]]:
        """The next rows; empty if there are none yet."""
        while len(self._surplus) < at_most and (lines := self._lines.next()):
            self._surplus.extend(lines)
        return [self._next() for _ in range(min(at_most, len(self._surplus)))]

    def _next(self) -> Mapping[str, Any]:
        line = self._surplus.popleft() + b"\n"
        row = parse_row(line)
        if row is None:
            self.foreign_lines.append((self.next_row, line))
        self.next_row += 1
        return _NO_ROW if row is None else row | {"milliseconds": self._times.next(row)}


@dataclass(frozen=True)
class Batch:
    """The values of one request; ``end`` is the number of the first row after them."""

    values: list[MetricValue]
    end: int


def make_batches(
    rows: Sequence[Mapping[str, Any]], first: int, names: MetricNames, journal: JournalIdentity
) -> Iterator[Batch]:
    """Cuts rows into requests of a size that the service accepts; ``first`` is the number of the first row's line.

    Names that the service doesn't get are left out, and so are NaN and infinite values if it refuses them.
    """
    values: list[MetricValue] = []
    for number, row in enumerate(rows, first):
        of_row = list(_values(row, f"{journal.id}/{journal.first_row + number}", names))
        if len(values) + len(of_row) > names.limits.rows:
            yield Batch(values, number)
            values = []
        values = values + of_row
    if rows:
        yield Batch(values, first + len(rows))


def count_nonfinite(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """The number of NaN or infinite values by name; the journal holds them as strings."""
    return Counter(name for row in rows for name, value in row["metrics"].items() if isinstance(value, str))


def _values(row: Mapping[str, Any], identity: str, names: MetricNames) -> Iterator[MetricValue]:
    for name, value in row["metrics"].items():
        service_name = names.service_name(name)
        if service_name is not None and (names.limits.takes_nonfinite or not isinstance(value, str)):
            milliseconds = row.get("milliseconds", 0)
            yield scalar_value(name, service_name, identity, row["step"], value, time_of(row), milliseconds)


ROWS_PER_READ = 1000


class JournalUploader:
    """Sends rows in their order and records each request in the delivery log, before and after it.

    ``nonfinite`` counts the NaN and infinite values that the service refuses.
    """

    def __init__(
        self,
        folder: RunFolder,
        delivery_log: DeliveryLog,
        names: MetricNames,
        sender: MetricSender,
        notify_once: Callable[[str], None],
    ) -> None:
        self._path = folder.journal
        self._folder = folder
        self._identity: JournalIdentity | None = None
        self._log, self._names, self._sender, self._notify_once = delivery_log, names, sender, notify_once
        self._unconfirmed = delivery_log.unconfirmed
        self._refused = dict(delivery_log.refused)  # sent once more: the service may accept it now
        self._pending: Sequence[Mapping[str, Any]] = []
        self._reader = JournalReader(self._path)
        self.nonfinite: Counter[str] = Counter()
        while self._reader.next_row < delivery_log.acknowledged and self._read(
            delivery_log.acknowledged - self._reader.next_row
        ):
            self._pending = []

    @property
    def is_outdated(self) -> bool:
        """Whether the folder has another journal now: the one that was delivered was moved or deleted."""
        found = read_identity(self._folder)
        return self._log.journal is not None and found is not None and found.id != self._log.journal

    def deliver(self) -> None:
        """Sends the rows that exist now; rows that are written meanwhile are left to the next call.

        Otherwise each request would hold a row or two, and nothing else would be delivered.

        Raises:
            DeliveryError: The service failed; the next call continues from there.
        """
        while self._refused:
            self._deliver_refused(*next(iter(self._refused.items())))
        self._deliver_pending()
        while self._read(ROWS_PER_READ):
            is_last = len(self._pending) < ROWS_PER_READ
            self._deliver_pending()
            if is_last:
                return

    @property
    def _journal(self) -> JournalIdentity:
        """Not asked for before there is a row: until then a continued run may still change it."""
        if self._identity is None:
            self._identity = require_identity(self._folder, self._log.run_id)
        return self._identity

    def _read(self, at_most: int) -> bool:
        self._pending = self._reader.read(min(at_most, ROWS_PER_READ))
        if not self._names.limits.takes_nonfinite:
            self.nonfinite += count_nonfinite(self._pending)
        if self._reader.foreign_lines:
            self._notify_once(describe_foreign_lines(self._path, self._reader.foreign_lines))
            self._reader.foreign_lines = []
        return bool(self._pending)

    def _deliver_pending(self) -> None:
        if not self._pending:
            return
        for batch in make_batches(self._pending, self._log.acknowledged, self._names, self._journal):
            self._deliver_batch(batch)

    def _deliver_batch(self, batch: Batch) -> None:
        refused: dict[str, str] = {}
        if self._log.journal is None:
            self._log.of_journal(self._journal.id)
        if batch.values:
            self._log.sending(batch.end)
            try:
                refused = self._sender.send(batch.values, unconfirmed=self._unconfirmed)
            except DeliveryError as error:
                self._unconfirmed = self._unconfirmed or error.unconfirmed
                raise
        self._unconfirmed = False
        self._pending = self._pending[batch.end - self._log.acknowledged :]
        self._log.sent(batch.end, refused)
        for name, reason in refused.items():
            service = self._names.limits.service
            self._notify_once(f"{service} refuses the metric {name!r} ({reason}); its values are in {self._path}.")

    def _deliver_refused(self, name: str, ranges: Sequence[tuple[int, int]]) -> None:
        rows = JournalReader(self._path).read(max(end for _, end in ranges))
        found = [
            batch for first, end in ranges for batch in make_batches(rows[first:end], first, self._names, self._journal)
        ]
        values = [value for batch in found for value in batch.values if value.name == name]
        if not self._sender.send(values, unconfirmed=True):
            self._log.recovered(name)
        del self._refused[name]
