"""What those who submit leave at the service: files, snapshots, jobs and computes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

NO_SNAPSHOT = "00000000-0000-0000-0000-000000000000"  # what the client calls the parent of a first snapshot


class FileHolder(Protocol):
    """Whatever has files in the blob account.

    ``paths`` are those that were announced, ``artifacts`` those whose content has arrived, and ``blocks`` pieces of
    such as are on their way.
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
    """Files that belong to no run; where it is free, they needn't be announced and can be written again.

    ``md5s`` are the digests, in base64, that the blob account computed or was told; ``parts`` are the blocks that a
    blob is made of, by their names.
    """

    origin: str
    container: str
    free: bool = False
    paths: list[str] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[str, dict[str, bytes]] = field(default_factory=dict)
    md5s: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[str, bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """A folder as it was uploaded; ``tree`` is the client's own picture of it, from which it finds what has changed."""

    id: str
    tree: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class SubmittedJob:
    """A job as it was sent; ``definition`` is the request's whole body, ``files`` is the snapshot, content by path."""

    run_id: str
    experiment: str
    definition: dict[str, Any]
    files: dict[str, bytes]


@dataclass
class Compute:
    """A cluster; ``ready`` is when its creation ends, in seconds of the monotonic clock."""

    name: str
    vm_size: str
    max_nodes: int
    created: datetime
    min_nodes: int = 0
    priority: str = "Dedicated"
    idle_time: str = "PT1800S"
    ready: float = 0.0
