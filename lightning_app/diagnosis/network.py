"""How this machine reaches rank 0."""

import fcntl
import ipaddress
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

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
