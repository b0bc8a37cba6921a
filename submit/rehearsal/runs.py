"""Runs, and what is reported of them."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

ORIGIN = "ExperimentRun"


@dataclass(frozen=True)
class MetricRow:
    """One posted row; ``kind`` is its uxMetricType, such as azureml.v1.scalar."""

    metric_id: str
    step: int | None
    data: dict[str, Any]
    created: datetime
    kind: str


@dataclass
class Run:
    """A run and what was reported of it.

    Rows are in order of arrival, and a row that was posted twice is there twice. ``paths`` are the artefacts that were
    announced, ``artifacts`` those whose content has arrived. A submitted run has the ``definition`` of its job.
    """

    id: str
    experiment: str
    number: int
    created: datetime
    status: str = "Running"
    started: datetime | None = None
    ended: datetime | None = None
    error: str | None = None
    type: str | None = None
    target: str = "rehearsal"
    definition: dict[str, Any] | None = None
    display_name: str = ""
    description: str | None = None
    tags: dict[str, str | None] = field(default_factory=dict)
    properties: dict[str, str | None] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, list[MetricRow]] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return ORIGIN

    @property
    def container(self) -> str:
        """Where its artefacts are."""
        return f"dcid.{self.id}"

    def copy(self) -> "Run":
        """The run as it is now, which no later request changes."""
        return replace(
            self,
            tags=dict(self.tags),
            properties=dict(self.properties),
            events=list(self.events),
            metrics={name: list(rows) for name, rows in self.metrics.items()},
            columns={name: dict(columns) for name, columns in self.columns.items()},
            paths=list(self.paths),
            artifacts=dict(self.artifacts),
            blocks={path: dict(blocks) for path, blocks in self.blocks.items()},
        )
