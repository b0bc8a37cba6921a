"""All that doesn't go together in the environment of a process. Nothing here looks at this machine."""

from collections.abc import Mapping
from dataclasses import dataclass

from lightning_app.diagnosis import stray_addresses, stray_ranks
from lightning_app.diagnosis.contradiction import Contradiction, refusal
from lightning_app.distributed.agreement import agreed
from lightning_app.distributed.launch import Launch
from lightning_app.distributed.reading import read_launch
from lightning_app.errors import LaunchError

_STRAYS = (*stray_ranks.CHECKS, *stray_addresses.CHECKS)


@dataclass(frozen=True)
class Diagnosis:
    """``launch`` is None where the variables don't tell one."""

    launch: Launch | None
    contradictions: list[Contradiction]


def diagnose(environment: Mapping[str, str], num_nodes: int | None = None, devices: int | None = None) -> Diagnosis:
    """What training makes of an environment.

    Args:
        environment: Of one process.
        num_nodes: --trainer.num_nodes; None is taken for the right one.
        devices: --trainer.devices; None is taken for the right ones.
    """
    try:
        launch = read_launch(environment)
    except LaunchError as error:
        return Diagnosis(None, [refusal(str(error))])
    found = []
    try:
        launch = _told(launch, num_nodes, devices)
    except LaunchError as error:
        found.append(refusal(str(error)))
    strays = (check(environment, launch) for check in _STRAYS)
    return Diagnosis(launch, found + [stray for stray in strays if stray])


def contradictions(
    environment: Mapping[str, str], num_nodes: int | None = None, devices: int | None = None
) -> list[Contradiction]:
    """As ``diagnose``; those that keep training from starting come first."""
    return diagnose(environment, num_nodes, devices).contradictions


def _told(launch: Launch, num_nodes: int | None, devices: int | None) -> Launch:
    """The launch as the Trainer takes it, who has been told these numbers."""
    nodes = num_nodes or launch.nodes
    if nodes is None:
        return launch
    return agreed(launch, nodes, devices or max(1, launch.world_size // nodes))
