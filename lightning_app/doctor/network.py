"""Whether this process can reach rank 0, and can be reached."""

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lightning_app.distributed.checks import unknown_interfaces
from lightning_app.distributed.launch import ALONE, GLOO_INTERFACES, LOOPBACK, Launch
from lightning_app.doctor.findings import Finding
from lightning_app.doctor.report import Row

_SIOCGIFADDR = 0x8915  # the IPv4 address of an interface, Linux


@dataclass(frozen=True)
class Route:
    """From this machine to an address.

    Args:
        resolved: The address as a number; None where its name means nothing here.
        local_address: The address of this machine from which it is reached; None where no way leads there.
        interface: To which that belongs; None where it isn't known.
        is_here: Whether the address is this machine's own.
    """

    resolved: str | None
    local_address: str | None = None
    interface: str | None = None
    is_here: bool = False


def route_to(address: str) -> Route:
    """Asks the name service and the kernel; nothing is sent to the address."""
    try:
        family, _, _, _, target = socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM)[0]
    except (OSError, UnicodeError):
        return Route(None)
    resolved = str(target[0])
    local = _local_address(family, target)
    return Route(resolved, local, _interface(local) if local else None, _is_here(family, resolved))


def port_is_free(address: str, port: int) -> bool:
    """Whether rank 0 can listen there, on a machine that has the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError:
        return False
    return True


def interfaces() -> dict[str, set[str]]:
    """The addresses of each interface of this machine."""
    found: dict[str, set[str]] = {name: set() for _, name in socket.if_nameindex()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for name in found:
            with suppress(OSError):  # it has none
                answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found[name].add(socket.inet_ntoa(answer[20:24]))
    for name, address in _ipv6():
        found.setdefault(name, set()).add(address)
    return found


def _ipv6() -> list[tuple[str, str]]:
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return []
    return [(line.split()[5], str(ipaddress.IPv6Address(int(line.split()[0], 16)))) for line in lines]


def _local_address(family: int, target: tuple[object, ...]) -> str | None:
    with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(target)  # a datagram socket's connect sends nothing
        return str(probe.getsockname()[0])
    return None


def _interface(address: str) -> str | None:
    return next((name for name, addresses in interfaces().items() if address in addresses), None)


def _is_here(family: int, address: str) -> bool:
    with socket.socket(family) as probe, suppress(OSError):
        probe.bind((address, 0))
        return True
    return False


def names_interface(setting: str, interface: str) -> bool:
    """Whether NCCL_SOCKET_IFNAME lets NCCL use an interface.

    Its names are beginnings of names; after ``=`` they are whole ones, and ``^`` means all others (NCCL's manual).
    """
    exact, excluded = "=" in setting[:2], "^" in setting[:2]
    names = [name for name in setting.lstrip("=^").split(",") if name]
    found = any(interface == name if exact else interface.startswith(name) for name in names)
    return found != excluded


_NCCL = "NCCL_SOCKET_IFNAME"


def route_to_rank_zero(launch: Launch) -> Route:
    return route_to(launch.address or LOOPBACK)


def route_rows(launch: Launch, route: Route) -> list[Row]:
    """Nothing to tell where all processes are on this node and nobody has named an address."""
    if launch.address is None:
        return []
    if route.resolved is None:
        return [("way to rank 0", f"none: {launch.address} can't be resolved")]
    name = launch.address if launch.address == route.resolved else f"{launch.address} = {route.resolved}"
    if route.is_here:
        return [("way to rank 0", f"{name} is this node's own ({route.interface or 'interface not known'})")]
    if route.local_address is None:
        return [("way to rank 0", f"none leads to {name}")]
    return [("way to rank 0", f"{name}, by {route.interface or 'an unknown interface'} ({route.local_address})")]


def connectivity_problems(
    environment: Mapping[str, str], launch: Launch, route: Route, backend: str, several: bool
) -> Iterator[Finding]:
    """What keeps the processes from joining; ``several`` says whether there will be more than one."""
    if launch.address is not None:
        yield from _address(launch, route)
    if launch.launcher != ALONE and launch.rank == 0 and route.is_here and launch.port and launch.world_size > 1:
        yield from _port(route.resolved or LOOPBACK, launch.port)
    yield from _gloo(environment, backend, several)
    yield from _nccl(environment, launch, route, backend)


def _address(launch: Launch, route: Route) -> Iterator[Finding]:
    what = f"the address of rank 0, {launch.address}, "
    if route.resolved is None:
        yield Finding(
            f"{what}can't be resolved on this node", "set it to a name or number that all nodes know", fatal=True
        )
    elif route.local_address is None:
        yield Finding(f"{what}can't be reached from this node", "put all nodes into one network", fatal=True)
    elif launch.rank == 0 and not route.is_here:  # it may be a service that leads here, on Kubernetes
        yield Finding(f"{what}is not this node's, and rank 0 is", "name this node's, unless that one leads here")


def _port(address: str, port: int) -> Iterator[Finding]:
    if not port_is_free(address, port):
        what = f"port {port}, where rank 0 is to listen, is taken on this node"
        yield Finding(what, "end the other program (it may be an earlier training), or set another MASTER_PORT")


def _gloo(environment: Mapping[str, str], backend: str, several: bool) -> Iterator[Finding]:
    for name in unknown_interfaces(environment):
        what = f"{GLOO_INTERFACES} names {name}, and this node has no such interface"
        yield Finding(what, f"unset {GLOO_INTERFACES}", fatal=several and backend == "gloo")


def _nccl(environment: Mapping[str, str], launch: Launch, route: Route, backend: str) -> Iterator[Finding]:
    """azure-docs PR #95788 had ^docker0,lo in it, which is right only where the network is none of these."""
    setting, interface = environment.get(_NCCL, ""), route.interface
    if (launch.nodes or 1) == 1 or not setting or not interface or interface == "lo":
        return
    if not names_interface(setting, interface):
        what = f"{_NCCL} is {setting}, which leaves out {interface}, by which this node reaches rank 0"
        yield Finding(what, f"unset {_NCCL}, or set it to {interface}", fatal=backend == "nccl")
