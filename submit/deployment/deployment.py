"""The description of a deployment: which model, behind which endpoint, on which machines. It knows no SDK."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from submit.job import BuiltEnvironment, CuratedEnvironment

ENTRY_SCRIPT = "score.py"
"""The script in the scoring code that Azure ML's inference server loads."""


@dataclass(frozen=True)
class RegisteredModel:
    """A model of the workspace."""

    name: str
    version: str


@dataclass(frozen=True)
class Deployment:
    """An exported model that answers behind an endpoint, on ``instance_count`` machines.

    Attributes:
        endpoint: The name of the endpoint, which is created if there is none.
        name: Of the deployment; an endpoint may have several.
        model: The folder of an exported model, which is uploaded, or one of the workspace.
        environment: With Azure ML's inference server and what the scoring code needs.
    """

    endpoint: str
    name: str
    model: Path | RegisteredModel
    environment: CuratedEnvironment | BuiltEnvironment
    instance_type: str
    instance_count: int = 1


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of the workspace.

    Attributes:
        scoring_uri: The address that takes pictures.
        traffic: The share of the requests, in percent, of each of its deployments.
    """

    name: str
    scoring_uri: str
    traffic: Mapping[str, int]
