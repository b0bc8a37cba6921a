"""The doctor's report: its rows, its findings, and the verdict last."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightning_app.azureml import job as azureml_job
from lightning_app.distributed.launch import (
    ALONE,
    BATCH_MASTER,
    BATCHAI_MASTER,
    HYDRA,
    LOOPBACK,
    MASTER_ADDRESS,
    MASTER_PORT,
    MPI,
    NODE_COUNT,
    OPEN_MPI,
    PYTORCH,
    SLURM_TASKS,
    TORCHRUN,
    Launch,
)
from lightning_app.doctor.findings import Finding, token_expiry

Row = tuple[str, str]
_NAMES = {MPI: "MPI", PYTORCH: "PyTorch configuration", TORCHRUN: "torchrun"}


def launch_shape(launch: Launch) -> str:
    """One of the six ways in which the processes of a job are started."""
    if launch.launcher == ALONE:
        return "none: started alone"
    if launch.launcher == TORCHRUN:
        return "torchrun inside a job"
    name = _NAMES.get(launch.launcher, launch.launcher)
    if launch.nodes is None:
        return f"{name}; --num_nodes tells whether a process per device or per node"
    if launch.lightning_starts_rest:
        return f"{name} with one process per node; Lightning starts the rest"
    return f"{name} with a process per device"


def launch_rows(launch: Launch) -> list[Row]:
    """What the launcher has told."""
    per_node = launch.processes_per_node
    nodes = "not told; --num_nodes tells" if launch.nodes is None else str(launch.nodes)
    each = "" if per_node is None else f", with {per_node} process{'es' * (per_node != 1)} each"
    node = "" if launch.nodes is None else f", node rank {launch.node_rank}"
    return [
        ("shape", launch_shape(launch)),
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
        self._spawns = launch.lightning_starts_rest
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
    if not devices and not launch.lightning_starts_rest and launch.processes_per_node:
        devices = launch.processes_per_node
    return "flags", f"--trainer.num_nodes {nodes} --trainer.devices {devices or 'N'}"


def _address(launch: Launch) -> str:
    return launch.address or LOOPBACK


def _port(launch: Launch) -> str:
    return "a free port" if launch.port is None else str(launch.port)


_WIDTH = 110
_NAME_WIDTH = 14


@dataclass(frozen=True)
class Section:
    title: str
    rows: Sequence[Row]


def render(sections: Sequence[Section], found: Sequence[Finding]) -> str:
    """Sections without rows are left out."""
    lines = [line for section in sections if section.rows for line in _section(section)]
    return "\n".join([*lines, *_contradictions(found), "", verdict(found)])


def verdict(found: Sequence[Finding]) -> str:
    fatal = sum(each.fatal for each in found)
    if fatal:
        return f"Training refuses to start: {_counted(fatal, 'contradiction')}."
    strays = f" in spite of {_counted(len(found), 'stray')}" if found else ""
    return f"In order{strays}: training starts."


def _section(section: Section) -> Iterator[str]:
    yield section.title
    for name, value in section.rows:
        yield from _wrapped(f"  {name:<{_NAME_WIDTH}} ", value)


def _contradictions(found: Sequence[Finding]) -> Iterator[str]:
    if found:
        yield "Contradictions"
    for each in found:
        yield from _wrapped(f"  {'refused' if each.fatal else 'ignored':<{_NAME_WIDTH}} ", each.what)
        yield from _wrapped(f"  {'':<{_NAME_WIDTH}} -> ", each.remedy)


def _wrapped(start: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


# all that is shown as it is; none of it is a secret
_SHOWN = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK"),
    *(MASTER_ADDRESS, MASTER_PORT, "MASTER_ADDRESS"),
    *OPEN_MPI,
    *HYDRA,
    *(BATCH_MASTER, BATCHAI_MASTER, NODE_COUNT, SLURM_TASKS),
)


def variable_rows(environment: Mapping[str, str]) -> list[Row]:
    return [("found", ", ".join(f"{name}={environment[name]}" for name in _SHOWN if name in environment))]


def run_rows(environment: Mapping[str, str]) -> list[Row]:
    """Names of variables, the run's id and when its token ends."""
    run, absent = azureml_job.run_id(environment), azureml_job.partly_missing(environment)
    if absent:
        return [("logger", f"no run: {len(absent)} of the job's variables not set, see below")]
    if run is None:
        return [("logger", "no Azure ML job: the journal alone")]
    ends = token_expiry(environment)
    return [
        ("logger", f"run {run}"),
        ("its token", f"valid until {ends:%Y-%m-%d %H:%M} UTC" if ends else "no end told"),
    ]
