"""Whether the address of rank 0 means anything on this node."""

import socket
import time

from lightning_app.distributed.launch import Launch
from lightning_app.errors import LaunchError

_SECONDS = 20.0  # a cluster's name service may hear of a node after the node has started its processes
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
