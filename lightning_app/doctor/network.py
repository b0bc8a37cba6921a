"""Whether this node can reach rank 0, and rank 0 can listen."""

import ipaddress
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lightning_app.distributed.checks import unknown_interfaces
from lightning_app.distributed.launch import GLOO_SOCKET_IFNAME, LOOPBACK, NO_LAUNCHER, Launch
from lightning_app.doctor.findings import Finding
from lightning_app.doctor.report import Row

_SIOCGIFADDR = 0x8915  # the IPv4 address of an interface, Linux


@dataclass(frozen=True)
class Route:
    """From this node to an address.

    Args:
        resolved: Its IP address; None where the name can't be resolved.
        local_address: This node's IP address on the route; None where there is no route.
        interface: The interface with that address; None where it isn't known.
        is_local: Whether the address is this node's own.
    """

    resolved: str | None
    local_address: str | None = None
    interface: str | None = None
    is_local: bool = False


def route_to(address: str) -> Route:
    """Asks the name service and the kernel; sends nothing to the address."""
    try:
        family, _, _, _, target = socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM)[0]
    except (OSError, UnicodeError):
        return Route(None)
    resolved = str(target[0])
    local = _local_address(family, target)
    return Route(resolved, local, _interface(local) if local else None, _is_local(family, resolved))


def port_is_free(address: str, port: int) -> bool:
    """Whether rank 0 can listen on the port; the address must be this node's own."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError:
        return False
    return True


def interfaces() -> dict[str, set[str]]:
    """The IP addresses of each interface of this node."""
    addresses: dict[str, set[str]] = {name: set() for _, name in socket.if_nameindex()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for name in addresses:
            with suppress(ImportError, OSError):  # Windows has no fcntl; an interface may have no IPv4 address
                import fcntl

                result = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                addresses[name].add(socket.inet_ntoa(result[20:24]))
    for name, address in _ipv6_addresses():
        addresses.setdefault(name, set()).add(address)
    return addresses


def _ipv6_addresses() -> list[tuple[str, str]]:
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return []
    return [(line.split()[5], str(ipaddress.IPv6Address(int(line.split()[0], 16)))) for line in lines]


def _local_address(family: int, target: tuple[object, ...]) -> str | None:
    with socket.socket(family, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(target)  # for a datagram socket, this sends nothing
        return str(probe.getsockname()[0])
    return None


def _interface(address: str) -> str | None:
    return next((name for name, addresses in interfaces().items() if address in addresses), None)


def _is_local(family: int, address: str) -> bool:
    with socket.socket(family) as probe, suppress(OSError):
        probe.bind((address, 0))
        return True
    return False


def allows_interface(setting: str, interface: str) -> bool:
    """Whether NCCL_SOCKET_IFNAME allows NCCL to use an interface.

    Its names are prefixes; after ``=`` they are exact, and ``^`` excludes them (NCCL's manual).
    """
    exact, excluded = "=" in setting[:2], "^" in setting[:2]
    names = [name for name in setting.lstrip("=^").split(",") if name]
    is_listed = any(interface == name if exact else interface.startswith(name) for name in names)
    return is_listed != excluded


_NCCL_SOCKET_IFNAME = "NCCL_SOCKET_IFNAME"


def route_to_rank_zero(launch: Launch) -> Route:
    return route_to(launch.address or LOOPBACK)


def route_rows(launch: Launch, route: Route) -> list[Row]:
    """Empty where all processes are on this node and no address was set."""
    if launch.address is None:
        return []
    if route.resolved is None:
        return [("route", f"none: {launch.address} can't be resolved")]
    name = launch.address if launch.address == route.resolved else f"{launch.address} = {route.resolved}"
    if route.is_local:
        return [("route", f"{name} is this node's own ({route.interface or 'interface not known'})")]
    if route.local_address is None:
        return [("route", f"none to {name}")]
    return [("route", f"{name} by {route.interface or 'an unknown interface'} ({route.local_address})")]


def connectivity_problems(
    environment: Mapping[str, str], launch: Launch, route: Route, backend: str, several: bool
) -> Iterator[Finding]:
    """What prevents the processes from connecting; ``several``: whether there will be more than one."""
    if launch.address is not None:
        yield from _address_problems(launch, route)
    if launch.launcher != NO_LAUNCHER and launch.rank == 0 and route.is_local and launch.port and launch.world_size > 1:
        yield from _port_problems(route.resolved or LOOPBACK, launch.port)
    yield from _gloo_problems(environment, backend, several)
    yield from _nccl_problems(environment, launch, route, backend)


def _address_problems(launch: Launch, route: Route) -> Iterator[Finding]:
    what = f"the address of rank 0, {launch.address}, "
    if route.resolved is None:
        yield Finding(
            f"{what}can't be resolved on this node",
            "set it to a host name or an IP address that works on all nodes",
            fatal=True,
        )
    elif route.local_address is None:
        yield Finding(f"{what}can't be reached from this node", "put all nodes into one network", fatal=True)
    elif launch.rank == 0 and not route.is_local:  # it may be a service of Kubernetes that forwards to this node
        yield Finding(
            f"{what}isn't this node's, and rank 0 runs here", "set this node's address, unless it is forwarded"
        )


def _port_problems(address: str, port: int) -> Iterator[Finding]:
    if not port_is_free(address, port):
        what = f"port {port}, where rank 0 has to listen, is in use on this node"
        yield Finding(what, "end the other program (perhaps an earlier training), or set another MASTER_PORT")


def _gloo_problems(environment: Mapping[str, str], backend: str, several: bool) -> Iterator[Finding]:
    for name in unknown_interfaces(environment):
        what = f"{GLOO_SOCKET_IFNAME} names {name}, and this node has no such interface"
        yield Finding(what, f"unset {GLOO_SOCKET_IFNAME}", fatal=several and backend == "gloo")


def _nccl_problems(environment: Mapping[str, str], launch: Launch, route: Route, backend: str) -> Iterator[Finding]:
    """azure-docs PR #95788 recommended ^docker0,lo, which is wrong where one of these is the network."""
    setting, interface = environment.get(_NCCL_SOCKET_IFNAME, ""), route.interface
    if (launch.nodes or 1) == 1 or not setting or not interface or interface == "lo":
        return
    if not allows_interface(setting, interface):
        what = f"{_NCCL_SOCKET_IFNAME} is {setting}, which excludes {interface}, by which this node reaches rank 0"
        yield Finding(what, f"unset {_NCCL_SOCKET_IFNAME}, or set it to {interface}", fatal=backend == "nccl")
