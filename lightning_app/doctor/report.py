"""Where a process stands, and what training will set, as lines for people."""

from lightning_app.distributed.launch import ALONE, LOOPBACK, MPI, PYTORCH, TORCHRUN, Launch

Row = tuple[str, str]
_NAMES = {MPI: "MPI", PYTORCH: "PyTorch configuration", TORCHRUN: "torchrun"}


def shape(launch: Launch) -> str:
    """One of the six ways in which the processes of a job are started."""
    if launch.launcher == ALONE:
        return "none: started alone"
    if launch.launcher == TORCHRUN:
        return "torchrun inside a job"
    name = _NAMES.get(launch.launcher, launch.launcher)
    if launch.nodes is None:
        return f"{name}; --num_nodes tells whether a process per device or per node"
    if launch.leaves_the_rest_to_lightning:
        return f"{name} with one process per node; Lightning starts the rest"
    return f"{name} with a process per device"


def place_rows(launch: Launch) -> list[Row]:
    """What the launcher has told."""
    per_node = launch.processes_per_node
    nodes = "not told; --num_nodes tells" if launch.nodes is None else str(launch.nodes)
    each = "" if per_node is None else f", with {per_node} process{'es' * (per_node != 1)} each"
    node = "" if launch.nodes is None else f", node rank {launch.node_rank}"
    return [
        ("shape", shape(launch)),
        ("launcher", launch.launcher),
        ("rank", f"{launch.rank} of {launch.world_size}, local rank {launch.local_rank}{node}"),
        ("nodes", nodes + (each if launch.nodes != 1 or launch.launcher != ALONE else "")),
        ("rank 0", f"{_address(launch)}{', ' if launch.port is None else ':'}{_port(launch)}"),
    ]


def setting_rows(launch: Launch, devices: int | None, backend: str | None) -> list[Row]:
    """What training will set for torch, and the flags it has to be given for that.

    Args:
        launch: Of which the nodes are known where anybody can know them.
        devices: On each node; None where nobody has told.
        backend: None where this is not the machine that trains.
    """
    ranks = _Ranks(launch, devices)
    if launch.world_size == 1 and devices in (None, 1):
        strategy = "one process" if devices else "one process with one device, DDP with several"
        return [("strategy", strategy), _flags(launch, devices)]
    return [
        ("MASTER_ADDR", _address(launch)),
        ("MASTER_PORT", _port(launch)),
        ("WORLD_SIZE", ranks.world_size),
        ("RANK", ranks.rank),
        ("LOCAL_RANK", ranks.local_rank),
        ("NODE_RANK", str(launch.node_rank) if launch.nodes else "not known"),
        ("strategy", "DDP"),
        ("backend", backend or "nccl on GPUs, gloo on the CPU"),
        _flags(launch, devices),
    ]


class _Ranks:
    """Ranks as Lightning counts them, who may start further processes on each node."""

    def __init__(self, launch: Launch, devices: int | None) -> None:
        self._launch = launch
        self._spawns = launch.leaves_the_rest_to_lightning
        self._devices = devices

    @property
    def world_size(self) -> str:
        if not self._spawns:
            return str(self._launch.world_size)
        return str((self._launch.nodes or 1) * self._devices) if self._devices else f"{self._launch.nodes} x devices"

    @property
    def rank(self) -> str:
        if not self._spawns:
            return str(self._launch.rank)
        if not self._devices:
            return f"{self._launch.node_rank} x devices and up"
        return _span(self._launch.node_rank * self._devices, self._devices)

    @property
    def local_rank(self) -> str:
        if not self._spawns:
            return str(self._launch.local_rank)
        return _span(0, self._devices) if self._devices else "0 and up"


def _span(first: int, number: int) -> str:
    return str(first) if number == 1 else f"{first} to {first + number - 1}"


def _flags(launch: Launch, devices: int | None) -> Row:
    nodes = launch.nodes or "N"
    if not devices and not launch.leaves_the_rest_to_lightning and launch.processes_per_node:
        devices = launch.processes_per_node
    return "flags", f"--trainer.num_nodes {nodes} --trainer.devices {devices or 'N'}"


def _address(launch: Launch) -> str:
    return launch.address or LOOPBACK


def _port(launch: Launch) -> str:
    return "a free port" if launch.port is None else str(launch.port)
