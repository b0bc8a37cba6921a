"""``delivery.jsonl``, the delivery log: what the service has acknowledged, and what it hasn't yet."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_app.azureml import journal
from lightning_app.run_folder import RunFolder


@dataclass
class DeliveryLog:
    """What became of each row of the journal, for one run at the service.

    Rows are counted from 0. Before rows are sent, that is noted: a sender that dies in between leaves them in doubt,
    and the next one asks the service which of them it holds. ``service_had_metrics`` says that the service knew the
    run before this delivery_log began: the folder of an earlier attempt was lost with its node.
    """

    path: Path
    run_id: str
    begun: bool = False
    service_had_metrics: bool = False
    acknowledged: int = 0
    unconfirmed: bool = False
    refused: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)
    charts: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = journal.JsonLines(self.path)

    @classmethod
    def read(cls, path: Path, run_id: str) -> "DeliveryLog":
        """The log as it stands for this run; empty where the file is about another run, as in a copied folder."""
        delivery_log = cls(path, run_id)
        for line in journal.read_json_lines(path) if path.exists() else ():
            if "run" in line:
                ours = line["run"] == run_id
                delivery_log = cls(path, run_id, begun=ours, service_had_metrics=ours and line["service_had_metrics"])
            elif delivery_log.begun:
                delivery_log._apply(line)
        return delivery_log

    def begin(self, service_had_metrics: bool) -> None:
        """From here on the file tells of this run."""
        self.begun, self.service_had_metrics = True, service_had_metrics
        self._lines.append({"run": self.run_id, "service_had_metrics": service_had_metrics})

    def sending(self, end: int) -> None:
        """Rows from the first that isn't acknowledged up to, without it, ``end`` are about to be sent."""
        self._note({"sending": end})

    def sent(self, end: int, refused: dict[str, str]) -> None:
        """The service has these rows, except the metrics that it refused, by name with its reason."""
        self._note({"sent": end} | ({"refused": refused} if refused else {}))

    def recovered(self, name: str) -> None:
        """The service has taken all that it had refused of a name."""
        self._note({"recovered": name})

    def named(self, name: str, service_name: str | None) -> None:
        """What the service knows a metric as; None where it hears nothing of it."""
        self._note({"name": name, "service_name": service_name})

    def chart(self, file: str, state: str) -> None:
        """``sending``, ``sent`` or ``refused``."""
        self._note({"chart": file, "state": state})

    def tagged(self, tags: dict[str, str]) -> None:
        """The service has these tags."""
        self._note({"tags": tags})

    def tell(self, text: str) -> bool:
        """Whether this is to be told to the user now, which it is once a run."""
        if text in self.told:
            return False
        self._note({"told": text})
        return True

    def _note(self, line: dict[str, Any]) -> None:
        self._lines.append(line)
        self._apply(line)

    def _apply(self, line: dict[str, Any]) -> None:
        if "sending" in line:
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
        elif "tags" in line:
            self.tags |= line["tags"]
        elif "told" in line:
            self.told.append(line["told"])


@dataclass(frozen=True)
class Undelivered:
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


def count_undelivered(folder: RunFolder, run_id: str) -> Undelivered:
    """What the delivery_log doesn't know as confirmed for this run."""
    delivery_log = DeliveryLog.read(folder.delivery_log, run_id)
    rows = _lines(folder) if folder.journal.exists() else 0
    refused = {row for ranges in delivery_log.refused.values() for first, end in ranges for row in range(first, end)}
    charts = [path for path in folder.charts.glob("*.json") if delivery_log.charts.get(path.name) != "sent"]
    return Undelivered(max(0, rows - delivery_log.acknowledged) + len(refused), len(charts), rows)


def _lines(folder: RunFolder) -> int:
    with folder.journal.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)
