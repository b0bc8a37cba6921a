"""Whether the address of rank 0 means anything on this node, and whether there is a way for the others to reach it."""

import os
import socket
import time
from collections.abc import Mapping

from lightning_app.distributed.launch import Launch
from lightning_app.distributed.variables import GLOO_INTERFACES
from lightning_app.errors import LaunchError

_SECONDS = 10.0  # a cluster's name service may hear of a node after the node has started its processes
_SECONDS_BETWEEN_LOOKS = 1.0


def require_resolvable(launch: Launch, seconds: float = _SECONDS) -> None:
    """Called before any process waits for another one: torch would try for half an hour.

    Raises:
        LaunchError: The name service doesn't know it for as many seconds.
    """
    deadline = time.monotonic() + seconds
    while launch.world_size > 1 and launch.address is not None and not _is_known(launch.address):
        if time.monotonic() > deadline:
            raise LaunchError(
                f"the address of rank 0, {launch.address}, can't be resolved on this node; set it to a name or number "
                "that all nodes know"
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _is_known(address: str) -> bool:
    try:
        return bool(socket.getaddrinfo(address, None))
    except (OSError, UnicodeError):  # UnicodeError: it can't be a name at all
        return False


def require_interfaces_of_gloo(environment: Mapping[str, str] = os.environ) -> None:
    """Called where gloo will join the processes, as it does on CPUs.

    Raises:
        LaunchError: It has been told to use an interface that this node doesn't have.
    """
    unknown = unknown_interfaces(environment)
    if unknown:
        raise LaunchError(
            f"{GLOO_INTERFACES} names {', '.join(unknown)}, and this node has no such interface; unset "
            f"{GLOO_INTERFACES}"
        )


def unknown_interfaces(environment: Mapping[str, str]) -> list[str]:
    here = {name for _, name in socket.if_nameindex()}
    return [name for name in environment.get(GLOO_INTERFACES, "").split(",") if name and name not in here]
