"""All that the service knows."""

import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from submit.rehearsal import times
from submit.rehearsal.orders import Orders
from submit.rehearsal.runs import ORIGIN, Run
from submit.rehearsal.submissions import Compute, FileHolder, Folder, Snapshot, SubmittedJob
from submit.rehearsal.tokens import Tokens
from submit.rehearsal.workspace import DATASTORE_CONTAINER


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a model.

    ``artifacts`` are the ids, or beginnings of ids, of what it is made of; ``wire`` is what the client is told of it.
    """

    name: str
    version: int
    artifacts: tuple[str, ...]
    tags: dict[str, str]
    properties: dict[str, str]
    description: str | None
    run_id: str | None
    wire: dict[str, Any] = field(default_factory=dict)


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
        self.experiments: dict[str, datetime] = {}
        self.runs: dict[str, Run] = {}
        self.jobs: list[SubmittedJob] = []
        self.sweeps: list[SubmittedJob] = []
        self.environments: dict[str, list[dict[str, Any]]] = {}
        self.computes: dict[str, Compute] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.saved_datasets: dict[str, dict[str, Any]] = {}
        self.datasets: dict[str, list[dict[str, Any]]] = {}
        self.datastore = Folder("", DATASTORE_CONTAINER, free=True)
        self.folders: dict[tuple[str, str], Folder] = {}
        self.assets: dict[str, dict[str, Any]] = {}
        self.models: list[RegisteredModel] = []
        self.requests: list[Request] = []
        self.unknown: list[str] = []

    def add_run(self, experiment: str) -> Run:
        name = f"{experiment}_{int(time.time())}_{uuid.uuid4().hex[:8]}"  # as the client names the runs it submits
        now = times.now()
        return self.keep_run(Run(name, experiment, len(self.runs) + 1, now, started=now))

    def keep_run(self, run: Run) -> Run:
        """An experiment is there as soon as it has a run."""
        self.experiments.setdefault(run.experiment, run.created)
        self.runs[run.id] = run
        return run

    def add_folder(self, origin: str, container: str) -> Folder:
        self.folders[origin, container] = Folder(origin, container)
        return self.folders[origin, container]

    def files(self, origin: str, container: str) -> FileHolder | None:
        """Of a run, or of whatever else announced some."""
        if origin == ORIGIN:
            return self.runs.get(container.removeprefix("dcid."))
        return self.folders.get((origin, container))
