"""The rows of the journal on their way to the service."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lightning_app.delivery.dispatch import Dispatch
from lightning_app.delivery.ledger import Ledger
from lightning_app.delivery.names import Names
from lightning_app.delivery.rows import Batch, JournalTail, batches, count_nonfinite
from lightning_app.delivery.run_service import DeliveryError
from lightning_app.run_folder import RunFolder

_ROWS_AT_ONCE = 1000


class JournalDelivery:
    """Sends rows in their order, and notes each request in the ledger before and after.

    ``nonfinite`` counts the values that no request can hold.
    """

    def __init__(
        self, folder: RunFolder, ledger: Ledger, names: Names, dispatch: Dispatch, tell_once: Callable[[str], None]
    ) -> None:
        self._path = folder.journal
        self._ledger, self._names, self._dispatch, self._tell_once = ledger, names, dispatch, tell_once
        self._in_doubt = ledger.in_doubt
        self._refused = dict(ledger.refused)  # is tried once more: the service may have changed its mind
        self._waiting: Sequence[Mapping[str, Any]] = []
        self._tail = JournalTail(self._path)
        self.nonfinite: Counter[str] = Counter()
        while self._tail.next_row < ledger.settled and self._read(ledger.settled - self._tail.next_row):
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
        for batch in batches(self._waiting, self._ledger.settled, self._names):
            self._deliver_batch(batch)

    def _deliver_batch(self, batch: Batch) -> None:
        refused: dict[str, str] = {}
        if batch.values:
            self._ledger.sending(batch.end)
            try:
                refused = self._dispatch.send(batch.values, in_doubt=self._in_doubt)
            except DeliveryError as error:
                self._in_doubt = self._in_doubt or error.in_doubt
                raise
        self._in_doubt = False
        self._waiting = self._waiting[batch.end - self._ledger.settled :]
        self._ledger.sent(batch.end, refused)
        for name, reason in refused.items():
            self._tell_once(f"Azure ML refuses the metric {name!r} ({reason}); its values are in {self._path}.")

    def _deliver_refused(self, name: str, ranges: Sequence[tuple[int, int]]) -> None:
        rows = JournalTail(self._path).read(max(end for _, end in ranges))
        found = [batch for first, end in ranges for batch in batches(rows[first:end], first, self._names)]
        values = [value for batch in found for value in batch.values if value.name == name]
        if not self._dispatch.send(values, in_doubt=True):
            self._ledger.recovered(name)
        del self._refused[name]
