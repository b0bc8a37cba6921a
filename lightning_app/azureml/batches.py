"""The rows of the journal, cut into requests and sent in their order."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_app.azureml import service_limits
from lightning_app.azureml.azureml_run import DeliveryError, MetricSender
from lightning_app.azureml.delivery_log import DeliveryLog
from lightning_app.azureml.metric_names import MetricNames
from lightning_app.azureml.metric_value import MetricValue, scalar_value
from lightning_app.run_folder import RunFolder


class JournalReader:
    """Hands out the rows of a journal, each once, as they are written.

    ``next_row`` is the number of the next one, counted from 0.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.next_row = 0

    def read(self, at_most: int) -> list[dict[str, Any]]:
        """The next rows; none where there are none yet."""
        lines: list[bytes] = []
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                # a line without its end is still being written
                lines = [line for _, line in zip(range(at_most), file, strict=False) if line.endswith(b"\n")]
        self._offset += sum(map(len, lines))
        self.next_row += len(lines)
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Batch:
    """Values that go in one request, and the number of the row after the last that they come from."""

    values: list[MetricValue]
    end: int


def make_batches(rows: Sequence[Mapping[str, Any]], first: int, names: MetricNames) -> Iterator[Batch]:
    """Cuts rows, the first of which has the number ``first``, into requests of a size that the service takes.

    Left out are names without a place at the service, and numbers that JSON has no word for.
    """
    values: list[MetricValue] = []
    for number, row in enumerate(rows, first):
        of_row = list(_values(row, names))
        if len(values) + len(of_row) > service_limits.ROWS:
            yield Batch(values, number)
            values = []
        values = values + of_row
    if rows:
        yield Batch(values, first + len(rows))


def count_nonfinite(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How many values of each name are NaN or infinite: the journal holds these as words."""
    return Counter(name for row in rows for name, value in row["metrics"].items() if isinstance(value, str))


def _values(row: Mapping[str, Any], names: MetricNames) -> Iterator[MetricValue]:
    for name, value in row["metrics"].items():
        service_name = names.service_name(name)
        if service_name is not None and not isinstance(value, str):
            yield scalar_value(name, service_name, row["step"], value)


_ROWS_AT_ONCE = 1000


class JournalUploader:
    """Sends rows in their order, and notes each request in the delivery_log before and after.

    ``nonfinite`` counts the values that no request can hold.
    """

    def __init__(
        self,
        folder: RunFolder,
        delivery_log: DeliveryLog,
        names: MetricNames,
        dispatch: MetricSender,
        tell_once: Callable[[str], None],
    ) -> None:
        self._path = folder.journal
        self._ledger, self._names, self._dispatch, self._tell_once = delivery_log, names, dispatch, tell_once
        self._in_doubt = delivery_log.unconfirmed
        self._refused = dict(delivery_log.refused)  # is tried once more: the service may have changed its mind
        self._waiting: Sequence[Mapping[str, Any]] = []
        self._tail = JournalReader(self._path)
        self.nonfinite: Counter[str] = Counter()
        while self._tail.next_row < delivery_log.acknowledged and self._read(
            delivery_log.acknowledged - self._tail.next_row
        ):
            self._waiting = []

    def deliver(self) -> None:
        """Sends the rows that there are now; those that are written meanwhile are the next call's.

        Otherwise requests would hold a row or two each, as fast as they are answered, and nothing else had its turn.

        Raises:
            DeliveryError: The service failed; calling again goes on where this stopped.
        """
        while self._refused:
            self._deliver_refused(*next(iter(self._refused.items())))
        self._deliver_waiting()
        while self._read(_ROWS_AT_ONCE):
            was_all = len(self._waiting) < _ROWS_AT_ONCE
            self._deliver_waiting()
            if was_all:
                return

    def _read(self, at_most: int) -> bool:
        self._waiting = self._tail.read(min(at_most, _ROWS_AT_ONCE))
        self.nonfinite += count_nonfinite(self._waiting)
        return bool(self._waiting)

    def _deliver_waiting(self) -> None:
        for batch in make_batches(self._waiting, self._ledger.acknowledged, self._names):
            self._deliver_batch(batch)

    def _deliver_batch(self, batch: Batch) -> None:
        refused: dict[str, str] = {}
        if batch.values:
            self._ledger.sending(batch.end)
            try:
                refused = self._dispatch.send(batch.values, unconfirmed=self._in_doubt)
            except DeliveryError as error:
                self._in_doubt = self._in_doubt or error.unconfirmed
                raise
        self._in_doubt = False
        self._waiting = self._waiting[batch.end - self._ledger.acknowledged :]
        self._ledger.sent(batch.end, refused)
        for name, reason in refused.items():
            self._tell_once(f"Azure ML refuses the metric {name!r} ({reason}); its values are in {self._path}.")

    def _deliver_refused(self, name: str, ranges: Sequence[tuple[int, int]]) -> None:
        rows = JournalReader(self._path).read(max(end for _, end in ranges))
        found = [batch for first, end in ranges for batch in make_batches(rows[first:end], first, self._names)]
        values = [value for batch in found for value in batch.values if value.name == name]
        if not self._dispatch.send(values, unconfirmed=True):
            self._ledger.recovered(name)
        del self._refused[name]
