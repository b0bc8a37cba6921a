"""Charts of the run folder, as metric values and artifacts of the service."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_app.azureml import service_limits
from lightning_app.azureml.journal_identity import JournalIdentity
from lightning_app.azureml.metric_value import MetricValue
from lightning_app.azureml.plain_values import NOT_FINITE

_KINDS = {
    "confusion_matrix": "azureml.v2.confusion_matrix",
    "image": "azureml.v2.image",
    "list": "azureml.v1.list",
    "table": "azureml.v1.table",
}
_TYPES = {bool: "bool", int: "int", float: "double", str: "string", type(None): "none"}
_LARGEST_INT = 2**63 - 1


@dataclass(frozen=True)
class Artifact:
    """A file that a chart of the service refers to."""

    path: str
    content: bytes


@dataclass(frozen=True)
class ChartFile:
    """A chart in the run folder: ``charts/NAME-stepN.json``."""

    path: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "ChartFile":
        """Raises ValueError if the file holds no chart."""
        content = json.loads(path.read_text())
        if not isinstance(content, dict) or content.get("kind") not in _KINDS or not {"name", "step"} <= content.keys():
            raise ValueError(f"{path}: no chart")
        return cls(path, content)

    @property
    def name(self) -> str:
        return str(self.content["name"])

    def artifact(self, attempt: int, journal: JournalIdentity, prefix: str = "") -> Artifact | None:
        """The file to upload first; None for lists and tables, which the service stores as metrics.

        ``prefix`` is what the folder's names begin with at the service.

        Each attempt has its own path: after a failed upload the service may have the path without the content, and it
        accepts no path twice.
        """
        stem = self._stem(attempt, journal, prefix)
        kind = self.content["kind"]
        if kind == "image":
            return Artifact(f"{stem}.png", self.path.with_name(self.content["picture"]).read_bytes())
        if kind == "confusion_matrix":
            return Artifact(f"{stem}.json", _confusion_matrix(self.content))
        return None

    def files(self, attempt: int, journal: JournalIdentity, prefix: str = "") -> list[Artifact]:
        """The files for a service that has no charts: the picture, and the content, which Azure ML Studio draws.

        ``attempt`` and ``prefix`` are as in ``artifact``.
        """
        stem = self._stem(attempt, journal, prefix)
        is_matrix = self.content["kind"] == "confusion_matrix"
        content = _confusion_matrix(self.content) if is_matrix else self.path.read_bytes()
        found = [Artifact(f"{stem}.json", content)]
        if "picture" in self.content:
            picture = self.path.with_name(self.content["picture"])
            found.append(Artifact(f"{stem}.png", picture.read_bytes()))
        return found

    def _stem(self, attempt: int, journal: JournalIdentity, prefix: str) -> str:
        training = f"-run{journal.generation}" if journal.generation > 1 else ""
        return f"charts/{prefix}{self.path.stem}{training}" + (f"-{attempt}" if attempt > 1 else "")

    def values(self, service_name: str, address: str | None, journal: JournalIdentity) -> list[MetricValue]:
        """The chart as rows of the metric ``service_name``; ``address`` is that of the artifact.

        ``journal``, the one beside it, says of which training it is.
        """
        if address is not None:
            return [self._value(journal, service_name, 0, {service_name: address}, {service_name: "Artifact"})]
        if self.content["kind"] == "list":
            rows: Sequence[Mapping[str, Any]] = [{service_name: value} for value in self.content["values"]]
        else:
            rows = _table_rows(self.content["columns"])
        return [self._value(journal, service_name, index, _plain(row)) for index, row in enumerate(rows)]

    def _value(
        self,
        journal: JournalIdentity,
        service_name: str,
        index: int,
        data: dict[str, Any],
        columns: dict[str, str] | None = None,
    ) -> MetricValue:
        columns = columns or {column: _TYPES[type(value)] for column, value in data.items()}
        number = f"/{self.content['number']}" if "number" in self.content else ""
        identity = f"{journal.id}/{self.content['step']}/{index}{number}"
        return MetricValue(self.name, service_name, identity, data, columns, _KINDS[self.content["kind"]])


def _confusion_matrix(content: Mapping[str, Any]) -> bytes:
    # the form is that of Run.log_confusion_matrix in azureml-core
    data = {"class_labels": content["class_labels"], "matrix": content["matrix"]}
    return json.dumps({"schema_type": "confusion_matrix", "schema_version": "1.0.0", "data": data}).encode()


def _table_rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    first = list(columns)[: service_limits.COLUMNS]
    return [dict(zip(first, row, strict=True)) for row in zip(*(columns[name] for name in first), strict=True)]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name[: service_limits.TEXT]: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    if value in NOT_FINITE:
        return None
    if isinstance(value, list | dict) or (isinstance(value, int) and abs(value) > _LARGEST_INT):
        value = json.dumps(value, ensure_ascii=False)
    return value[: service_limits.TEXT] if isinstance(value, str) else value
