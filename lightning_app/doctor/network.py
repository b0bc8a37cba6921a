"""Whether this process will find rank 0, and be found: facts of this machine against the launcher's variables."""

from collections.abc import Iterator, Mapping

from lightning_app.diagnosis.contradiction import Contradiction
from lightning_app.diagnosis.network import Route, names_interface, port_is_free, route_to
from lightning_app.diagnosis.place import Row
from lightning_app.distributed.address import unknown_interfaces
from lightning_app.distributed.launch import ALONE, LOOPBACK, Launch
from lightning_app.distributed.variables import GLOO_INTERFACES

_NCCL = "NCCL_SOCKET_IFNAME"


def route_of(launch: Launch) -> Route:
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


def hindrances(
    environment: Mapping[str, str], launch: Launch, route: Route, backend: str, several: bool
) -> Iterator[Contradiction]:
    """What keeps the processes from joining; ``several`` says whether there will be more than one."""
    if launch.address is not None:
        yield from _address(launch, route)
    if launch.launcher != ALONE and launch.rank == 0 and route.is_here and launch.port and launch.world_size > 1:
        yield from _port(route.resolved or LOOPBACK, launch.port)
    yield from _gloo(environment, backend, several)
    yield from _nccl(environment, launch, route, backend)


def _address(launch: Launch, route: Route) -> Iterator[Contradiction]:
    what = f"the address of rank 0, {launch.address}, "
    if route.resolved is None:
        yield Contradiction(
            f"{what}can't be resolved on this node", "set it to a name or number that all nodes know", fatal=True
        )
    elif route.local_address is None:
        yield Contradiction(f"{what}can't be reached from this node", "put all nodes into one network", fatal=True)
    elif launch.rank == 0 and not route.is_here:  # it may be a service that leads here, on Kubernetes
        yield Contradiction(f"{what}is not this node's, and rank 0 is", "name this node's, unless that one leads here")


def _port(address: str, port: int) -> Iterator[Contradiction]:
    if not port_is_free(address, port):
        what = f"port {port}, where rank 0 is to listen, is taken on this node"
        yield Contradiction(what, "end the other program (it may be an earlier training), or set another MASTER_PORT")


def _gloo(environment: Mapping[str, str], backend: str, several: bool) -> Iterator[Contradiction]:
    for name in unknown_interfaces(environment):
        what = f"{GLOO_INTERFACES} names {name}, and this node has no such interface"
        yield Contradiction(what, f"unset {GLOO_INTERFACES}", fatal=several and backend == "gloo")


def _nccl(environment: Mapping[str, str], launch: Launch, route: Route, backend: str) -> Iterator[Contradiction]:
    """azure-docs PR #95788 had ^docker0,lo in it, which is right only where the network is none of these."""
    setting, interface = environment.get(_NCCL, ""), route.interface
    if (launch.nodes or 1) == 1 or not setting or not interface or interface == "lo":
        return
    if not names_interface(setting, interface):
        what = f"{_NCCL} is {setting}, which leaves out {interface}, by which this node reaches rank 0"
        yield Contradiction(what, f"unset {_NCCL}, or set it to {interface}", fatal=backend == "nccl")
