"""The description of a job: what runs, where, on which data. It knows nothing of any SDK."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Launcher = Literal["pytorch", "mpi"]
Access = Literal["mount", "download"]

DATA_PATH = "{data}"
"""Stands in a job's command for the path at which the job finds its data."""

RESUME_PATH = "{resume}"
"""Stands there for the path at which it finds the outputs of the run that it goes on from."""


@dataclass(frozen=True)
class RegisteredDataset:
    """A dataset that the workspace knows by name; ``version`` is a number or "latest"."""

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
    """An environment that Azure ML, or the workspace, has ready by name."""

    name: str
    version: str | None = None


@dataclass(frozen=True)
class BuiltEnvironment:
    """An environment that is built for the job.

    Attributes:
        name: What it is called in the workspace.
        conda: A conda environment file's content; None where the image holds everything.
        image: The image that it is built on, or which holds everything.
        dockerfile: The text of a Dockerfile instead of ``image``.
    """

    name: str
    conda: str | None = None
    image: str | None = None
    dockerfile: str | None = None


@dataclass(frozen=True)
class Job:
    """One training, on nodes that each start as many processes.

    Attributes:
        command: The words of the command, run in the snapshot's root; ``DATA_PATH`` stands for the data's path.
        source_directory: What the snapshot is made of.
        compute: The name of the compute cluster.
        resume: The outputs of the run that it goes on from; None for a training that begins.
        max_duration_seconds: After that Azure ML ends the job; None for its own limit.
        shared_memory: Of each container, such as "8g".
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
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    shared_memory: str = "8g"
    max_duration_seconds: int | None = None

    @property
    def processes(self) -> int:
        """Of all nodes together."""
        return self.nodes * self.processes_per_node
