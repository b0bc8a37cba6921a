"""The doctor's report: sections of rows, then the findings, then the verdict."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lightning_app.azureml import job as azureml_job
from lightning_app.distributed.launch import (
    AZ_BATCH_MASTER_NODE,
    AZ_BATCHAI_MPI_MASTER_NODE,
    AZUREML_NODE_COUNT,
    HYDRA,
    LOOPBACK,
    MASTER_ADDR,
    MASTER_PORT,
    MPI,
    NO_LAUNCHER,
    OPEN_MPI,
    PYTORCH,
    SLURM_STEP_NUM_TASKS,
    TORCHRUN,
    Launch,
)
from lightning_app.doctor.findings import Finding, token_expiry

Row = tuple[str, str]
_NAMES = {MPI: "MPI", PYTORCH: "PyTorch configuration", TORCHRUN: "torchrun"}


def launch_shape(launch: Launch) -> str:
    """One of the six ways to start the processes of a job."""
    if launch.launcher == NO_LAUNCHER:
        return "no launcher: one process"
    if launch.launcher == TORCHRUN:
        return "torchrun inside a job"
    name = _NAMES.get(launch.launcher, launch.launcher)
    if launch.nodes is None:
        return f"{name}; give --num_nodes to see whether one process per device or per node"
    if launch.lightning_starts_rest:
        return f"{name} with one process per node; Lightning starts the rest"
    return f"{name} with one process per device"


def launch_rows(launch: Launch) -> list[Row]:
    """What was detected."""
    per_node = launch.processes_per_node
    nodes = "not known; give --num_nodes" if launch.nodes is None else str(launch.nodes)
    per_node_text = "" if per_node is None else f", with {per_node} process{'es' * (per_node != 1)} each"
    node = "" if launch.nodes is None else f", node rank {launch.node_rank}"
    return [
        ("shape", launch_shape(launch)),
        ("launcher", launch.launcher),
        ("rank", f"{launch.rank} of {launch.world_size}, local rank {launch.local_rank}{node}"),
        ("nodes", nodes + (per_node_text if launch.nodes != 1 or launch.launcher != NO_LAUNCHER else "")),
        ("rank 0", f"{_address(launch)}{', ' if launch.port is None else ':'}{_port(launch)}"),
    ]


def setting_rows(launch: Launch, devices: int | None, backend: str | None) -> list[Row]:
    """What training will set for torch, and the flags that it needs for that.

    Args:
        launch: With the number of nodes if that is known.
        devices: Number of devices on each node; None if not known.
        backend: Of torch.distributed; None if the training runs on another machine.
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
    """The ranks after Lightning has started further processes, if any, on each node."""

    def __init__(self, launch: Launch, devices: int | None) -> None:
        self._launch = launch
        self._lightning_starts_rest = launch.lightning_starts_rest
        self._devices = devices

    @property
    def world_size(self) -> str:
        if not self._lightning_starts_rest:
            return str(self._launch.world_size)
        return str((self._launch.nodes or 1) * self._devices) if self._devices else f"{self._launch.nodes} x devices"

    @property
    def rank(self) -> str:
        if not self._lightning_starts_rest:
            return str(self._launch.rank)
        if not self._devices:
            return f"{self._launch.node_rank} x devices and up"
        return _range(self._launch.node_rank * self._devices, self._devices)

    @property
    def local_rank(self) -> str:
        if not self._lightning_starts_rest:
            return str(self._launch.local_rank)
        return _range(0, self._devices) if self._devices else "0 and up"


def _range(first: int, number: int) -> str:
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


def render(sections: Sequence[Section], findings: Sequence[Finding]) -> str:
    """The report as text, without the sections that have no rows."""
    lines = [line for section in sections if section.rows for line in _section(section)]
    return "\n".join([*lines, *_findings(findings), "", verdict(findings)])


def verdict(findings: Sequence[Finding]) -> str:
    errors = sum(finding.fatal for finding in findings)
    if errors:
        return f"Training refuses to start: {_count(errors, 'error')}."
    warnings = f" with {_count(len(findings), 'warning')}" if findings else ""
    return f"In order{warnings}: training starts."


def _section(section: Section) -> Iterator[str]:
    yield section.title
    for name, value in section.rows:
        yield from _wrap(f"  {name:<{_NAME_WIDTH}} ", value)


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    if findings:
        yield "Findings"
    for finding in findings:
        yield from _wrap(f"  {'refused' if finding.fatal else 'ignored':<{_NAME_WIDTH}} ", finding.what)
        yield from _wrap(f"  {'':<{_NAME_WIDTH}} -> ", finding.remedy)


def _wrap(start: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


# variables whose values are shown; none of them is a secret
_SHOWN = (
    *("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK"),
    *(MASTER_ADDR, MASTER_PORT, "MASTER_ADDRESS"),
    *OPEN_MPI,
    *HYDRA,
    *(AZ_BATCH_MASTER_NODE, AZ_BATCHAI_MPI_MASTER_NODE, AZUREML_NODE_COUNT, SLURM_STEP_NUM_TASKS),
)


def variable_rows(environment: Mapping[str, str]) -> list[Row]:
    return [("variables", ", ".join(f"{name}={environment[name]}" for name in _SHOWN if name in environment))]


def run_rows(environment: Mapping[str, str]) -> list[Row]:
    """The run's id and when its token expires; no secrets."""
    run, missing = azureml_job.run_id(environment), azureml_job.partly_missing(environment)
    if missing:
        return [("logger", f"no run: {len(missing)} of the job's variables not set, see below")]
    if run is None:
        return [("logger", "no Azure ML job: journal only")]
    expiry = token_expiry(environment)
    return [
        ("logger", f"run {run}"),
        ("token", f"valid until {expiry:%Y-%m-%d %H:%M} UTC" if expiry else "expiry not known"),
    ]
