"""``delivery.jsonl``: what the service has confirmed of the journal and of the charts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_app import json_lines


@dataclass
class Ledger:
    """What became of each row of the journal, for one run at the service.

    Rows are counted from 0. Before rows are sent, that is noted: a sender that dies in between leaves them in doubt,
    and the next one asks the service which of them it holds. ``service_had_metrics`` says that the service knew the
    run before this ledger began: the folder of an earlier attempt was lost with its node.
    """

    path: Path
    run_id: str
    begun: bool = False
    service_had_metrics: bool = False
    settled: int = 0
    in_doubt: bool = False
    refused: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    names: dict[str, str | None] = field(default_factory=dict)
    charts: dict[str, str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = json_lines.JsonLines(self.path)

    @classmethod
    def read(cls, path: Path, run_id: str) -> "Ledger":
        """The ledger as it stands for this run; empty where the file tells of another, as a copied folder's does."""
        ledger = cls(path, run_id)
        for line in json_lines.read(path) if path.exists() else ():
            if "run" in line:
                ours = line["run"] == run_id
                ledger = cls(path, run_id, begun=ours, service_had_metrics=ours and line["service_had_metrics"])
            elif ledger.begun:
                ledger._apply(line)
        return ledger

    def begin(self, service_had_metrics: bool) -> None:
        """From here on the file tells of this run."""
        self.begun, self.service_had_metrics = True, service_had_metrics
        self._lines.append({"run": self.run_id, "service_had_metrics": service_had_metrics})

    def sending(self, end: int) -> None:
        """Rows from the first that isn't settled up to, without it, ``end`` are about to be sent."""
        self._note({"sending": end})

    def sent(self, end: int, refused: dict[str, str]) -> None:
        """The service has these rows, except the metrics that it refused, by name with its reason."""
        self._note({"sent": end} | ({"refused": refused} if refused else {}))

    def recovered(self, name: str) -> None:
        """The service has taken all that it had refused of a name."""
        self._note({"recovered": name})

    def named(self, name: str, spelling: str | None) -> None:
        """What the service knows a metric as; None where it hears nothing of it."""
        self._note({"name": name, "spelling": spelling})

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
            self.in_doubt = True
        elif "sent" in line:
            for name in line.get("refused", {}):
                self.refused.setdefault(name, []).append((self.settled, line["sent"]))
            self.settled, self.in_doubt = line["sent"], False
        elif "recovered" in line:
            self.refused.pop(line["recovered"], None)
        elif "name" in line:
            self.names[line["name"]] = line["spelling"]
        elif "chart" in line:
            self.charts[line["chart"]] = line["state"]
            self.attempts[line["chart"]] = self.attempts.get(line["chart"], 0) + (line["state"] == "sending")
        elif "tags" in line:
            self.tags |= line["tags"]
        elif "told" in line:
            self.told.append(line["told"])
