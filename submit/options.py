"""What a user can choose about a job and a sweep: the flags of the command line as typed values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from submit.job import Access, Launcher
from submit.sweep.sweep import Goal, Parameter, Sampling


@dataclass(frozen=True)
class EnvironmentOptions:
    """At most one of these says what the environment is; an image can go with a conda or a pip file."""

    environment: str | None = None
    conda_file: Path | None = None
    pip_requirements: Path | None = None
    docker_image: str | None = None
    dockerfile: Path | None = None


@dataclass(frozen=True)
class JobOptions:
    """The options of ``run``, ``rehearse`` and ``sweep``.

    Attributes:
        env: Environment variables, each as ``NAME=VALUE``.
        tags: Tags of the run, each as ``NAME=VALUE``.
        ssh_key: The file of a public key.
        max_duration: In seconds; None for Azure ML's own limit.
        limit: Batches of each kind and epoch; None for all.
    """

    experiment: str
    compute: str
    source_directory: Path
    nodes: int = 1
    processes_per_node: int = 1
    launcher: Launcher = "pytorch"
    dataset: str | None = None
    access: Access = "mount"
    environment: EnvironmentOptions = EnvironmentOptions()
    env: Sequence[str] = ()
    shm_size: str = "8g"
    max_duration: int | None = None
    limit: int | None = None
    vm_size: str | None = None
    low_priority: bool = False
    tags: Sequence[str] = ()
    tensorboard: bool = False
    ssh_key: Path | None = None


@dataclass(frozen=True)
class SweepOptions:
    """The further options of ``sweep``; None for those that were not given."""

    parameters: tuple[Parameter, ...]
    sampling: Sampling
    metric: str
    goal: Goal
    max_runs: int | None = None
    max_concurrent: int | None = None
    policy: str = "none"
    slack_factor: float | None = None
    evaluation_interval: int | None = None
    delay_evaluation: int | None = None
