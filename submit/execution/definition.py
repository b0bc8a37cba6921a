"""What a submitted request says about the processes of its job."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from submit.sdk_v1 import DATASET_WORD, DATASTORE_PATH_WORD


@dataclass(frozen=True)
class Shape:
    """Nodes, processes on each, and who starts them."""

    nodes: int
    processes_per_node: int
    launcher: str


def shape_of(configuration: Mapping[str, Any]) -> Shape:
    """As Azure ML reads it: the communicator says which section counts."""
    if configuration["communicator"] == "IntelMpi":
        mpi = configuration["mpi"]
        return Shape(configuration["nodeCount"], mpi["processCountPerNode"], "mpi")
    pytorch = configuration["pytorch"]
    nodes = pytorch["nodeCount"]
    return Shape(nodes, (pytorch["processCount"] or nodes) // nodes, "pytorch")


def command_of(configuration: Mapping[str, Any], python: str, data: str | None) -> list[str]:
    """The words of the command, with this machine's Python and the path at which the data is."""
    words = shlex.split(configuration["command"])
    replaced = {"python": python} | ({DATASET_WORD: data, DATASTORE_PATH_WORD: data} if data else {})
    return [replaced.get(word, word) for word in words]


def variables_of(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that the user gave."""
    return dict(configuration.get("environmentVariables") or {})
