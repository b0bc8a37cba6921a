"""Everything that the emulator holds."""

import secrets
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from submit.emulator import datetimes
from submit.emulator.faults import FaultInjector
from submit.emulator.online import OnlineEndpoint
from submit.emulator.tokens import Tokens
from submit.emulator.workspace import DATASTORE_CONTAINER

ORIGIN = "ExperimentRun"
DATASTORE_ORIGIN = "Datastore"  # of models in the datastore, not in the artifact store; the emulator's own name


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

    Rows are in the order of arrival; a row that was posted twice is stored twice. ``paths`` are announced artifacts,
    ``artifacts`` those whose content was uploaded. A submitted run has the ``definition`` of its job; an interactive
    one was created by a script.
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
    target: str = "emulator"
    definition: dict[str, Any] | None = None
    display_name: str = ""
    description: str | None = None
    parent: str | None = None
    is_interactive: bool = False
    is_archived: bool = False
    tags: dict[str, str | None] = field(default_factory=dict)
    properties: dict[str, str | None] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
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
        """The container of its artifacts."""
        return f"dcid.{self.id}"

    def copy(self) -> "Run":
        """A copy that later requests don't change."""
        return replace(
            self,
            tags=dict(self.tags),
            properties=dict(self.properties),
            params=dict(self.params),
            events=list(self.events),
            metrics={name: list(rows) for name, rows in self.metrics.items()},
            columns={name: dict(columns) for name, columns in self.columns.items()},
            paths=list(self.paths),
            artifacts=dict(self.artifacts),
            blocks={path: dict(blocks) for path, blocks in self.blocks.items()},
        )


NO_SNAPSHOT = "00000000-0000-0000-0000-000000000000"  # the client's id for the parent of a first snapshot


class FileContainer(Protocol):
    """An object with files in the blob account.

    ``paths`` are the announced files, ``artifacts`` those whose content was uploaded, ``blocks`` uncommitted blocks.
    """

    paths: list[str]
    artifacts: dict[str, bytes]
    blocks: dict[str, dict[str, bytes]]

    @property
    def origin(self) -> str: ...

    @property
    def container(self) -> str: ...


@dataclass
class Folder:
    """Files that belong to no run. In a free folder, files needn't be announced and can be overwritten.

    ``md5s`` are MD5 digests in base64, computed or sent by the client; ``parts`` are a blob's committed blocks by name,
    and ``metadata`` is what the client has set for a blob.
    """

    origin: str
    container: str
    free: bool = False
    paths: list[str] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[str, dict[str, bytes]] = field(default_factory=dict)
    md5s: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class AssetVersion:
    """A version of something that SDK v2 names: code, data, an environment or a model, with its properties."""

    name: str
    version: str
    properties: dict[str, Any]
    created: datetime


@dataclass(frozen=True)
class Snapshot:
    """An uploaded folder; ``tree`` is the client's description of it, with which it finds changed files."""

    id: str
    tree: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class SubmittedJob:
    """A submitted job; ``definition`` is the body of the request, ``files`` is the snapshot, content by path.

    The body is that of SDK v1 with ``Configuration`` in it, or that of SDK v2 with ``properties``.
    """

    run_id: str
    experiment: str
    definition: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Dataset:
    """A dataset as a job reads it: ``files`` are its contents by their paths below the folder of the dataset."""

    id: str
    files: dict[str, bytes]


@dataclass
class Compute:
    """A cluster, or a compute of another type; ``ready`` is the time of the monotonic clock when its creation ends."""

    name: str
    vm_size: str
    max_nodes: int
    created: datetime
    min_nodes: int = 0
    priority: str = "Dedicated"
    idle_time: str = "PT1800S"
    ready: float = 0.0
    provisioning_state: str | None = None  # None: Creating until it is ready, then Succeeded
    current_nodes: int | None = None  # None: the minimum
    errors: tuple[str, ...] = ()
    compute_type: str = "AmlCompute"


@dataclass(frozen=True)
class Eviction:
    """The announced end of nodes, which Azure takes away at a time.

    ``disk_is_kept`` says whether the outputs until then are on the node on which the job starts again.
    """

    id: str
    nodes: tuple[str, ...]
    at: datetime
    disk_is_kept: bool = True

    @property
    def is_due(self) -> bool:
        return self.at <= datetimes.now()


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a model.

    ``artifacts`` are the ids, or prefixes of ids, of its artifacts; ``content`` is the model as the client reads it.
    """

    name: str
    version: int
    artifacts: tuple[str, ...]
    tags: dict[str, str]
    properties: dict[str, str]
    description: str | None
    run_id: str | None
    content: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordedRequest:
    """A request that came in; ``size`` is that of its body, and ``status`` is None if no response was sent."""

    method: str
    path: str
    status: int | None
    seconds: float
    size: int


class State:
    """Survives a stop of the emulator; it is read and changed under its lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.url = ""
        self.started = datetimes.now()
        self.tokens = Tokens()
        self.client_secret = secrets.token_urlsafe(24)  # of the service principal
        self.faults = FaultInjector()
        self.experiments: dict[str, datetime] = {}
        self.experiment_tags: dict[str, dict[str, str]] = {}
        self.runs: dict[str, Run] = {}
        self.jobs: list[SubmittedJob] = []
        self.sweeps: list[SubmittedJob] = []
        self.environments: dict[str, list[dict[str, Any]]] = {}
        self.registry_environments: dict[str, list[AssetVersion]] = {}  # of the registry that Azure provides
        self.codes: dict[str, list[AssetVersion]] = {}
        self.data: dict[str, list[AssetVersion]] = {}  # of SDK v2; its datasets of SDK v1 are below
        self.archived_assets: set[tuple[str, str]] = set()  # of SDK v2: the kind and the name
        self.computes: dict[str, Compute] = {}
        self.creation_seconds = 1.0  # of a cluster, of an endpoint and of a deployment
        self.endpoints: dict[str, OnlineEndpoint] = {}
        self.operations: dict[str, float] = {}  # when each ends, of the monotonic clock
        self.evictions: list[Eviction] = []
        self.eviction_changes = 0
        self.snapshots: dict[str, Snapshot] = {}
        self.saved_datasets: dict[str, dict[str, Any]] = {}
        self.datasets: dict[str, list[dict[str, Any]]] = {}
        self.secrets: dict[str, dict[str, Any]] = {}
        self.datastores: dict[str, dict[str, Any]] = {}  # registered ones, beside the workspace's own
        self.datastore = Folder("", DATASTORE_CONTAINER, free=True)
        self.folders: dict[tuple[str, str], Folder] = {}
        self.uploads: dict[str, Folder] = {}  # containers of the blob account, for one upload each
        self.assets: dict[str, dict[str, Any]] = {}
        self.models: list[RegisteredModel] = []
        self.requests: list[RecordedRequest] = []
        self.unknown: list[str] = []

    def add_run(self, experiment: str) -> Run:
        name = f"{experiment}_{int(time.time())}_{uuid.uuid4().hex[:8]}"  # in the form of the client's own names
        now = datetimes.now()
        return self.keep_run(Run(name, experiment, len(self.runs) + 1, now, started=now))

    def keep_run(self, run: Run) -> Run:
        """An experiment exists as soon as it has a run."""
        self.experiments.setdefault(run.experiment, run.created)
        self.runs[run.id] = run
        return run

    def root_of(self, run: Run) -> Run:
        """The run that has no parent, of which this one is a descendant."""
        return run if run.parent is None else self.root_of(self.runs[run.parent])

    def add_folder(self, origin: str, container: str) -> Folder:
        self.folders[origin, container] = Folder(origin, container)
        return self.folders[origin, container]

    def files(self, origin: str, container: str) -> FileContainer | None:
        """The files of a run or of a folder."""
        if origin == ORIGIN:
            return self.runs.get(container.removeprefix("dcid."))
        return self.folders.get((origin, container))
