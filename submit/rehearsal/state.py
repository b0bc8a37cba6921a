"""All that the service knows."""

import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from submit.rehearsal import times
from submit.rehearsal.orders import Orders
from submit.rehearsal.tokens import Tokens


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
    announced, ``artifacts`` those whose content has arrived.
    """

    id: str
    experiment: str
    number: int
    created: datetime
    status: str = "Running"
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


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a model; ``artifacts`` are the ids, or beginnings of ids, of what it is made of."""

    name: str
    version: int
    artifacts: tuple[str, ...]
    tags: dict[str, str]
    properties: dict[str, str]
    description: str | None
    run_id: str


@dataclass(frozen=True)
class Request:
    """A request that came in; the size is that of its body, and there is no status where no answer was sent."""

    method: str
    path: str
    status: int | None
    seconds: float
    size: int


class State:
    """What outlives a stop of the service; its parts are read and changed under its lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.url = ""
        self.tokens = Tokens()
        self.faults = Orders()
        self.runs: dict[str, Run] = {}
        self.assets: dict[str, tuple[str, ...]] = {}
        self.models: list[RegisteredModel] = []
        self.requests: list[Request] = []
        self.unknown: list[str] = []

    def add_run(self, experiment: str) -> Run:
        name = f"{experiment}_{int(time.time())}_{uuid.uuid4().hex[:8]}"  # as the client names the runs it submits
        self.runs[name] = Run(name, experiment, len(self.runs) + 1, times.now())
        return self.runs[name]
