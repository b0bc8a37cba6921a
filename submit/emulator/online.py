"""Managed online endpoints and their deployments, as the emulator holds them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class OnlineDeployment:
    """A deployment: the body of the request that made it, and the files of its code, content by path.

    ``ready`` is the time of the monotonic clock when its creation ends.
    """

    name: str
    content: dict[str, Any]
    files: dict[str, bytes]
    created: datetime
    ready: float


@dataclass
class OnlineEndpoint:
    """An endpoint; ``traffic`` is the share of the requests of its deployments, in percent; ``ready`` as above."""

    name: str
    auth_mode: str
    created: datetime
    ready: float
    keys: tuple[str, str]
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    traffic: dict[str, int] = field(default_factory=dict)
    deployments: dict[str, OnlineDeployment] = field(default_factory=dict)
