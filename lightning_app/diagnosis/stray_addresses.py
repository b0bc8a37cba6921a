"""Addresses, ports and interfaces that training doesn't go by, or that keep it from reaching rank 0."""

from collections.abc import Mapping

from lightning_app.diagnosis.contradiction import Contradiction
from lightning_app.diagnosis.stray_ranks import Check
from lightning_app.distributed.launch import ALONE, LOOPBACK, MPI, Launch
from lightning_app.distributed.variables import BATCHAI_MASTER, MASTER_ADDRESS, MASTER_PORT

INTERFACES = {"NCCL_SOCKET_IFNAME": "GPUs", "GLOO_SOCKET_IFNAME": "the CPU"}


def _misspelled(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """Lightning #13639: the scripts of that thread set it."""
    if "MASTER_ADDRESS" not in environment:
        return None
    what = f"MASTER_ADDRESS is set, which nothing reads; its name is {MASTER_ADDRESS}"
    remedy = f"unset it; rank 0 is at {launch.address}" if launch.address else f"call it {MASTER_ADDRESS}, or unset it"
    return Contradiction(what, remedy)


def _localhost(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """hi-ml PR #588: Azure ML may set it to localhost on several nodes."""
    value = environment.get(BATCHAI_MASTER)
    if value not in ("localhost", LOOPBACK) or (launch.nodes or 1) == 1 or launch.address in (None, value):
        return None
    what = f"{BATCHAI_MASTER} is {value} on {launch.nodes} nodes, which is each node itself"
    return Contradiction(what, f"go by {launch.address} in code of your own, as this training does")


def _other_address(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """Two say where rank 0 is, and they don't say the same; Azure ML's own word counts (hi-ml PR #588)."""
    given = environment.get(MASTER_ADDRESS)
    if launch.launcher != MPI or not given or launch.address is None or given.strip("[]") == launch.address:
        return None
    what = f"{MASTER_ADDRESS} is {given}, and Azure ML says that rank 0 is at {launch.address}, where training looks"
    return Contradiction(what, f"unset {MASTER_ADDRESS}")


def _unread_port(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """Where training reads it, it refuses to start."""
    port = environment.get(MASTER_PORT, "").strip()
    if launch.launcher != ALONE or not port or (port.isdecimal() and 1 <= int(port) <= 65535):
        return None
    what = f"{MASTER_PORT} is {port!r}, and a port is a number from 1 to 65535"
    return Contradiction(what, f"unset {MASTER_PORT}; a training that was started alone doesn't read it")


def _loopback_only(environment: Mapping[str, str], launch: Launch) -> Contradiction | None:
    """The loopback interface leads to no other node. On a single machine it is what people set, and right."""
    names = [name for name in INTERFACES if environment.get(name, "").lstrip("=") == "lo"]
    if not names or (launch.nodes or 1) == 1 or (launch.address or "").startswith("127."):
        return None
    what = f"{' and '.join(names)} is lo on {launch.nodes} nodes, which leads to no other node"
    return Contradiction(what, f"unset it; training on {INTERFACES[names[0]]} would wait for the other nodes")


CHECKS: tuple[Check, ...] = (_misspelled, _localhost, _other_address, _unread_port, _loopback_only)
