"""The description of a job: what runs, where, and on which data. It knows no SDK."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

JOB_KEY = "LIGHTNING_APP_JOB_KEY"
"""The variable by which the processes of a job know one another."""

SERVERLESS = "serverless"
"""Instead of the name of a cluster: nodes that Azure ML provides for one job."""

DEFAULT_DATASTORE = "workspaceblobstore"
"""The datastore that every workspace has."""

Launcher = Literal["pytorch", "mpi"]
Access = Literal["mount", "download"]

DATA_PATH = "{data}"
"""The placeholder in a job's command for the path of its data."""

RESUME_PATH = "{resume}"
"""The placeholder for the path of the folder of the run that the job resumes."""

CHECKPOINT_PATH = "{checkpoints}"
"""The placeholder for the path of the folder of a datastore to which the job copies its checkpoints."""


@dataclass(frozen=True)
class RegisteredDataset:
    """A registered dataset of the workspace; ``version`` is "latest", a number or, with SDK v2, a name such as "v2"."""

    name: str
    version: str
    access: Access


@dataclass(frozen=True)
class DatastorePath:
    """A folder of a datastore; ``datastore`` is None for the workspace's default one."""

    datastore: str | None
    path: str
    access: Access


@dataclass(frozen=True)
class CuratedEnvironment:
    """An environment that Azure ML or the workspace has under a name; ``registry`` is None for the workspace.

    Without a version it is the newest one.
    """

    name: str
    version: str | None = None
    registry: str | None = None


@dataclass(frozen=True)
class BuiltEnvironment:
    """An environment that is built for the job.

    Attributes:
        name: Its name in the workspace.
        conda: The content of a conda environment file; None if the image has everything.
        image: The base image, or an image with everything.
        dockerfile: The text of a Dockerfile instead of ``image``.
        context: The folder of the Dockerfile and its name there; None of a recorded request.
    """

    name: str
    conda: str | None = None
    image: str | None = None
    dockerfile: str | None = None
    context: tuple[Path, str] | None = None


@dataclass(frozen=True)
class Services:
    """What can be opened while a job runs: TensorBoard on its folder ``logs``, and SSH with a public key."""

    tensorboard: bool = False
    ssh_key: str | None = None


@dataclass(frozen=True)
class JobShape:
    """The number of nodes, the processes on each node, and what starts them."""

    nodes: int
    processes_per_node: int
    launcher: Launcher


@dataclass(frozen=True)
class Job:
    """One training, with the same number of processes on each node.

    Attributes:
        command: The command, run in the snapshot's root; ``DATA_PATH`` stands for the path of the data.
        source_directory: The folder that the snapshot is made of.
        compute: The name of the compute cluster; ``SERVERLESS`` for nodes that Azure ML provides for this job.
        vm_size: Of serverless nodes; None for the size of the cluster's nodes.
        low_priority: Of serverless nodes, which Azure may then take away.
        resume: The folder of the run that it resumes; None for a new training.
        checkpoints: Where copies of its checkpoints are kept, when its nodes are gone; None for nowhere.
        max_duration_seconds: Azure ML ends the job after it; None for the limit of Azure ML.
        shared_memory: Of each container, such as "8g".
        tags: Of the run.
    """

    experiment: str
    command: tuple[str, ...]
    source_directory: Path
    compute: str
    environment: CuratedEnvironment | BuiltEnvironment
    nodes: int = 1
    processes_per_node: int = 1
    launcher: Launcher = "pytorch"
    data: RegisteredDataset | DatastorePath | None = None
    resume: DatastorePath | None = None
    checkpoints: DatastorePath | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    shared_memory: str = "8g"
    max_duration_seconds: int | None = None
    vm_size: str | None = None
    low_priority: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    services: Services = Services()

    @property
    def processes(self) -> int:
        """The number of processes on all nodes."""
        return self.nodes * self.processes_per_node


def variables_with_key(job: Job, *, is_sent: bool) -> dict[str, str]:
    """The job's variables, with a key of its own where it has several processes; a user's own key stays.

    Unless the job is sent now, the key is a text that says when it is chosen.
    """
    key = secrets.token_hex(16) if is_sent else "(random, chosen when the job is sent)"
    return ({JOB_KEY: key} if job.processes > 1 else {}) | dict(job.environment_variables)
