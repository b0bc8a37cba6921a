"""``delivery.jsonl``, the delivery log: what the service has acknowledged, and what it hasn't yet."""

from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lightning_app.azureml.journal import count_lines
from lightning_app.azureml.journal_identity import read_identity
from lightning_app.azureml.json_lines import JsonLines, read_json_lines
from lightning_app.azureml.row_times import time_of
from lightning_app.run_folder import RunFolder


@dataclass
class DeliveryLog:
    """What became of each row of the journal, for one run at the service.

    Rows are counted from 0. A request is recorded before it is sent. If the sender dies before the response, its rows
    are unconfirmed, and the next sender asks the service which of them it has. ``service_had_metrics`` says that the
    service had metrics before this log began: the folder of an earlier attempt was lost with its node. ``prefix`` is
    what the folder's names begin with at the service. ``journal`` is the identity of the journal; None before its
    first row. ``begun_at`` is when this log began.
    """

    path: Path
    run_id: str
    begun: bool = False
    service_had_metrics: bool = False
    prefix: str = ""
    begun_at: datetime | None = None
    journal: str | None = None
    acknowledged: int = 0
    unconfirmed: bool = False
    refused: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)
    charts: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    notified: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = JsonLines(self.path)

    @classmethod
    def read(cls, path: Path, run_id: str, journal: str | None = None) -> "DeliveryLog":
        """The log as it stands for this run; empty where the file is about another run, as in a copied folder.

        It is empty as well where it is about another journal than the given one, which was deleted, for example.
        """
        delivery_log = cls(path, run_id)
        for line in read_json_lines(path) if path.exists() else ():
            if "run" in line:
                delivery_log = cls(path, run_id)
                if line["run"] == run_id:
                    delivery_log._apply(line)
            elif delivery_log.begun:
                delivery_log._apply(line)
        return delivery_log if journal is None or delivery_log.journal in (None, journal) else cls(path, run_id)

    def begin(self, service_had_metrics: bool, prefix: str = "") -> None:
        """From here on the file is about this run."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        self._append({"run": self.run_id, "service_had_metrics": service_had_metrics, "prefix": prefix, "time": now})

    def of_journal(self, journal: str) -> None:
        """The rows of this journal are delivered from here on."""
        self._append({"journal": journal})

    def sending(self, end: int) -> None:
        """The rows from the first unacknowledged one up to, but not including, ``end`` are about to be sent."""
        self._append({"sending": end})

    def sent(self, end: int, refused: dict[str, str]) -> None:
        """The service has acknowledged these rows, except the refused metrics, given by name with the reason."""
        self._append({"sent": end} | ({"refused": refused} if refused else {}))

    def recovered(self, name: str) -> None:
        """The service has accepted all values of a name that it had refused."""
        self._append({"recovered": name})

    def named(self, name: str, service_name: str | None) -> None:
        """The name of a metric at the service; None if it isn't sent."""
        self._append({"name": name, "service_name": service_name})

    def chart(self, file: str, state: str) -> None:
        """The state of a chart: ``sending``, ``sent``, ``refused``, or ``kept`` in the run folder for good."""
        self._append({"chart": file, "state": state})

    def tagged(self, tags: dict[str, str]) -> None:
        """The service has these tags."""
        self._append({"tags": tags})

    def parametrised(self, params: dict[str, str]) -> None:
        """The service has these hyperparameters as parameters."""
        self._append({"params": params})

    def first_notification(self, text: str) -> bool:
        """Records a message; False if the user has seen it already in this run."""
        if text in self.notified:
            return False
        self._append({"notified": text})
        return True

    def _append(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        self._apply(line)

    def _apply(self, line: dict[str, Any]) -> None:
        if "run" in line or "journal" in line:
            self._apply_beginning(line)
        elif "sending" in line:
            self.unconfirmed = True
        elif "sent" in line:
            for name in line.get("refused", {}):
                self.refused.setdefault(name, []).append((self.acknowledged, line["sent"]))
            self.acknowledged, self.unconfirmed = line["sent"], False
        elif "recovered" in line:
            self.refused.pop(line["recovered"], None)
        elif "name" in line:
            self.names[line["name"]] = line["service_name"]
        elif "chart" in line:
            self.charts[line["chart"]] = line["state"]
            self.attempts[line["chart"]] = self.attempts.get(line["chart"], 0) + (line["state"] == "sending")
        elif "tags" in line or "params" in line:
            self.tags |= line.get("tags", {})
            self.params |= line.get("params", {})
        elif "notified" in line:
            self.notified.append(line["notified"])

    def _apply_beginning(self, line: dict[str, Any]) -> None:
        if "journal" in line:
            self.journal = line["journal"]
        else:
            self.begun, self.service_had_metrics = True, line["service_had_metrics"]
            self.prefix = line.get("prefix", "")
            self.begun_at = time_of(line)


@dataclass(frozen=True)
class Undelivered:
    """Rows with values that the service hasn't acknowledged or has refused, and charts."""

    rows: int
    charts: int
    all_rows: int

    def __bool__(self) -> bool:
        return bool(self.rows or self.charts)

    def __str__(self) -> str:
        rows = [f"{self.rows:,} of {self.all_rows:,} rows"] if self.rows else []
        charts = [f"{self.charts} chart{'s' * (self.charts > 1)}"] if self.charts else []
        return " and ".join(rows + charts) or "nothing"


def count_undelivered(folder: RunFolder, run_id: str) -> Undelivered:
    """What the delivery log doesn't have as acknowledged for this run."""
    identity = read_identity(folder)
    delivery_log = DeliveryLog.read(folder.delivery_log, run_id, identity.id if identity else None)
    rows = count_lines(folder.journal)
    refused = {row for ranges in delivery_log.refused.values() for first, end in ranges for row in range(first, end)}
    charts = [
        path for path in folder.charts.glob("*.json") if delivery_log.charts.get(path.name) not in ("sent", "kept")
    ]
    return Undelivered(max(0, rows - delivery_log.acknowledged) + len(refused), len(charts), rows)
