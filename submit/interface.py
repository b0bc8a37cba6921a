"""What the commands need of an SDK of Azure ML.

``submit.v1`` implements it with azureml-core and ``submit.v2`` with azure-ai-ml; ``submit.sdk`` chooses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from submit.cluster import Cluster, FoundCluster
from submit.deployment.deployment import Deployment, Endpoint, RegisteredModel
from submit.job import DatastorePath, Job, RegisteredDataset
from submit.preflight.findings import Finding
from submit.preflight.snapshot import IgnoreRules
from submit.runs.run_info import RunInfo, RunState, RunSummary
from submit.sweep.sweep import Sweep


@dataclass(frozen=True)
class Properties:
    """The properties of a file; ``md5`` is None if the service has none, as for files of several blocks."""

    size: int
    md5: str | None
    etag: str


class RemoteFile(Protocol):
    """A file of a run; the methods raise errors of requests."""

    def properties(self) -> Properties: ...

    def read(self, start: int, length: int, version: str = "") -> bytes:
        """Bytes from ``start`` on; fewer or none at the end of the file or if it doesn't exist yet.

        ``version`` is the ETag that the file must have, if given.
        """


@dataclass(frozen=True)
class SentSweep:
    """What a sweep compares, and its runs, each with its hyperparameters."""

    metric: str
    goal: str
    runs: Sequence[tuple["Run", Mapping[str, Any]]]


@dataclass(frozen=True)
class ModelLabels:
    """What a registered model says of itself: tags, which may change later, and properties, which never do."""

    tags: Mapping[str, str]
    properties: Mapping[str, str]


class Run(Protocol):
    """A run of the workspace. The methods raise the SDK's errors, except where they say more."""

    @property
    def id(self) -> str: ...

    @property
    def experiment(self) -> str: ...

    @property
    def portal(self) -> str:
        """The address of its page."""

    def status(self) -> str: ...

    def state(self) -> RunState:
        """Its status, its times and its error."""

    def info(self) -> RunInfo:
        """All that ``submit status`` shows."""

    def cancel(self) -> None: ...

    def paths(self) -> Sequence[str]:
        """The names of all its files, sorted."""

    def file(self, path: str) -> RemoteFile: ...

    def metrics_of_one_value(self) -> Mapping[str, float]:
        """The metrics that were logged once."""

    def commit(self) -> str | None:
        """The git commit of its snapshot."""

    def data(self) -> RegisteredDataset | DatastorePath | None:
        """The data that its job got as ``--data_path``; None if it had none, or none with a name."""

    def register_model(self, name: str, path: str, labels: ModelLabels, description: str | None) -> int:
        """Registers a file or a folder of the run as the next version of a model, and returns that."""

    def folder(self, name: str) -> DatastorePath:
        """A folder of its files, as the input of a job, mounted."""

    def resumed(self, folder: Path, training: Sequence[str], resume: DatastorePath) -> Job:
        """The job that continues this run, with a snapshot of ``folder`` and further flags of the training.

        Args:
            folder: The folder to upload.
            training: Flags of the training that differ from those of this run.
            resume: The run folder with the checkpoint from which it continues.

        Raises:
            SubmitError: submit didn't send this run, or a flag sets what the run decides.
        """

    def checkpoints(self) -> DatastorePath | None:
        """The folder of a datastore to which its job copies its checkpoints, if it has one."""

    def command(self) -> Sequence[str]:
        """The words of its command."""

    def sweep(self) -> SentSweep | None:
        """What a sweep compares, and its runs; None if the run is no sweep."""


@dataclass(frozen=True)
class Nodes:
    """The machines that a job would run on; ``region`` is None if it isn't known."""

    vm_size: str
    region: str | None
    low_priority: bool


@dataclass(frozen=True)
class Datastore:
    """A blob container of the workspace: a ContainerClient, and the module with the classes that it takes."""

    name: str
    client: Any
    models: Any


@dataclass(frozen=True)
class DataVersion:
    """A version of a data asset, and its address: of a folder of a datastore azureml://datastores/NAME/paths/FOLDER."""

    version: str
    address: str


class Workspace(Protocol):
    """A workspace. The methods raise SubmitError for what the user can mend, and ServiceError."""

    @property
    def name(self) -> str: ...

    @property
    def location(self) -> str:
        """Its region."""

    def findings(self, job: Job) -> Sequence[Finding]:
        """What the workspace knows that speaks against a job."""

    def nodes(self, job: Job) -> Nodes | None:
        """The machines of the job's compute; None if the workspace doesn't say."""

    def send(self, job: Job) -> Run: ...

    def send_sweep(self, sweep: Sweep) -> Run: ...

    def find_run(self, run_id: str) -> Run: ...

    def list_runs(self, experiment: str, limit: int) -> Sequence[RunSummary]:
        """The newest runs of an experiment, newest first."""

    def find_cluster(self, name: str) -> FoundCluster | None: ...

    def create_cluster(self, wanted: Cluster) -> FoundCluster: ...

    def find_data(self, name: str, version: str | None) -> DataVersion | None:
        """A version of a data asset, by default the newest; None if there is no such name or version."""

    def register_data(self, name: str, version: str | None, address: str) -> str:
        """Registers a folder as a version of a data asset, by default the next one, and returns that."""

    def register_model(self, name: str, folder: Path, labels: ModelLabels, description: str | None) -> int:
        """Registers a folder of this machine as the next version of a model, and returns that."""

    def open_datastore(self, name: str | None) -> Datastore:
        """The workspace's default datastore, or a named one."""

    def deployment_findings(self, wanted: Deployment) -> Sequence[Finding]:
        """What the workspace knows that speaks against a deployment."""

    def model_properties(self, model: RegisteredModel) -> Mapping[str, str]: ...

    def find_endpoint(self, name: str) -> Endpoint | None: ...

    def create_endpoint(self, name: str) -> Endpoint: ...

    def send_deployment(self, wanted: Deployment, code: Path) -> None:
        """Creates or changes a deployment with the scoring code of a folder, and waits until it answers."""

    def set_traffic(self, name: str, traffic: Mapping[str, int]) -> Endpoint:
        """Sets the share of an endpoint's requests, in percent, of each of its deployments."""

    def endpoint_names(self) -> Sequence[str]: ...

    def delete_endpoint(self, name: str) -> None:
        """Deletes an endpoint with all its deployments, and waits until it is gone."""

    def delete_deployment(self, endpoint_name: str, name: str) -> None:
        """Deletes a deployment, which must have no traffic, and waits until it is gone."""


class Sdk(Protocol):
    """An SDK: what needs no workspace, and the way to one."""

    package: str
    job_extra: str | None
    """The extra of this project that a training needs in a job that was sent with this SDK."""

    def ignore_rules(self, folder: Path) -> IgnoreRules:
        """The ignore rules for the snapshot of a folder."""

    def findings(self, job: Job) -> Sequence[Finding]:
        """What this SDK has no place for, or would misunderstand; without a network."""

    def request(self, job: Job) -> str:
        """What would be sent, as YAML, without a network."""

    def sweep_request(self, sweep: Sweep) -> str: ...

    def endpoint_request(self, name: str) -> str:
        """The file for an endpoint, as YAML."""

    def deployment_request(self, wanted: Deployment, code: Path) -> str:
        """The file for a deployment with the scoring code of a folder, as YAML."""

    def require_sweeps(self) -> None:
        """Raises SubmitError if a package for sweeps isn't installed."""

    def require_data_assets(self) -> None:
        """Raises SubmitError if the SDK can't register data."""

    def require_deployments(self) -> None:
        """Raises SubmitError if the SDK has no managed online endpoints."""

    def open_workspace(self, file: Path | None) -> Workspace: ...
