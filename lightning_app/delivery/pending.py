"""What of a run folder isn't at the service."""

from dataclasses import dataclass

from lightning_app.delivery.ledger import Ledger
from lightning_app.run_folder import RunFolder


@dataclass(frozen=True)
class Pending:
    """Rows of the journal, of which some values may not have been sent or were refused, and charts."""

    rows: int
    charts: int
    all_rows: int

    def __bool__(self) -> bool:
        return bool(self.rows or self.charts)

    def __str__(self) -> str:
        rows = [f"{self.rows:,} of {self.all_rows:,} rows"] if self.rows else []
        charts = [f"{self.charts} chart{'s' * (self.charts > 1)}"] if self.charts else []
        return " and ".join(rows + charts) or "nothing"


def pending(folder: RunFolder, run_id: str) -> Pending:
    """What the ledger doesn't know as confirmed for this run."""
    ledger = Ledger.read(folder.ledger, run_id)
    rows = _lines(folder) if folder.journal.exists() else 0
    refused = {row for ranges in ledger.refused.values() for first, end in ranges for row in range(first, end)}
    charts = [path for path in folder.charts.glob("*.json") if ledger.charts.get(path.name) != "sent"]
    return Pending(max(0, rows - ledger.settled) + len(refused), len(charts), rows)


def _lines(folder: RunFolder) -> int:
    with folder.journal.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)
