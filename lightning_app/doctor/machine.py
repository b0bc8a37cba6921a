"""Examines this machine: GPUs, data, disk space and the route to rank 0."""

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from lightning_app.doctor import network
from lightning_app.doctor.findings import Diagnosis, Finding, check_token
from lightning_app.doctor.report import Row, Section

_OUTPUTS = Path("outputs")  # the default of --output_dir


@dataclass(frozen=True)
class MachineReport:
    """What was found on this machine.

    Args:
        backend: The backend of torch.distributed that training uses here.
        devices: The number of devices that a training uses by default.
        sections: For the report.
        findings: Problems.
    """

    backend: str
    devices: int
    sections: list[Section]
    findings: list[Finding]


def check_machine(diagnosis: Diagnosis, devices: int | None, data_path: Path | None) -> MachineReport:
    """``devices``: the training's devices on each node; None if not known."""
    gpus, launch = read_gpus(), diagnosis.launch
    rows = gpu_rows(gpus)
    findings = [check_gpu_count(gpus, devices), *_check_storage(data_path), check_token(os.environ, _now())]
    if launch is not None:
        route = network.route_to_rank_zero(launch)
        rows += network.route_rows(launch, route)
        several = launch.world_size * (devices or 1) > 1
        findings += network.connectivity_problems(os.environ, launch, route, gpus.backend, several)
    rows += data_rows(data_path) if data_path else []
    rows += output_rows(_OUTPUTS)
    findings.append(_check_mpi4py())
    sections = [Section("This machine", rows)]
    return MachineReport(gpus.backend, max(1, len(gpus.names)), sections, [finding for finding in findings if finding])


def _check_storage(data_path: Path | None) -> Iterator[Finding | None]:
    if data_path:
        yield check_data(data_path)
    yield check_outputs(_OUTPUTS)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _check_mpi4py() -> Finding | None:
    """Lightning #20049: without a cluster environment of its own, a Trainer uses MPI's ranks then."""
    if importlib.util.find_spec("mpi4py") is None:
        return None
    what = "mpi4py is installed: other Trainers would use MPIEnvironment; this training doesn't"
    return Finding(what, "do nothing for this training")


@dataclass(frozen=True)
class Gpus:
    """The name and memory of each GPU, and the versions of CUDA and NCCL."""

    names: tuple[str, ...]
    versions: str

    @property
    def backend(self) -> str:
        return "nccl" if self.names else "gloo"


def read_gpus() -> Gpus:
    """Those that this process can use (CUDA_VISIBLE_DEVICES)."""
    import torch  # takes a second or more, and a file or --help doesn't need it

    if not torch.cuda.is_available():
        return Gpus((), "")
    properties = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    names = tuple(f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB" for gpu in properties)
    nccl = ".".join(str(part) for part in torch.cuda.nccl.version())  # type: ignore[no-untyped-call]
    return Gpus(names, f"CUDA {torch.version.cuda}, NCCL {nccl}")


def gpu_rows(gpus: Gpus) -> list[Row]:
    if not gpus.names:
        return [("GPUs", "none: gloo on the CPU")]
    numbered = [(f"GPU {number}", name) for number, name in enumerate(gpus.names)]
    return [("GPUs", f"{len(gpus.names)}; {gpus.versions}"), *numbered]


def check_gpu_count(gpus: Gpus, devices: int | None) -> Finding | None:
    """``devices``: the training's devices on this node; None if not known."""
    if not gpus.names or devices is None or devices <= len(gpus.names):
        return None
    what = f"training uses {devices} devices on each node, and this process sees {len(gpus.names)} GPUs"
    remedy = f"give --trainer.devices {len(gpus.names)}, or change CUDA_VISIBLE_DEVICES"
    return Finding(what, remedy, fatal=True)


_MOUNT_TABLE = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mount:
    """Mount point and type of a file system, such as ext4, fuse.blobfuse2 or nfs."""

    point: Path
    file_system: str


def mount_of(path: Path) -> Mount | None:
    """The file system that contains the path; None where the mount table can't be read."""
    resolved = path.resolve()
    containing = [mount for mount in _mounts() if resolved.is_relative_to(mount.point)]
    # of several on the same mount point, the last one hides the others
    return max(reversed(containing), key=lambda mount: len(mount.point.parts), default=None)


def data_rows(path: Path) -> list[Row]:
    if _unusable(path):
        return [("data", f"{path}: {_unusable(path)}")]
    mount = mount_of(path)
    if mount is None:
        return [("data", f"{path}, readable")]
    location = "a mount" if mount.point == path.resolve() else f"on {mount.point}"
    return [("data", f"{path}, readable, {location} ({mount.file_system})")]


def check_data(path: Path) -> Finding | None:
    """Training refuses to start without the data that --data_path names."""
    reason = _unusable(path)
    return Finding(f"--data_path {path}: {reason}", "give the folder with the data", fatal=True) if reason else None


def output_rows(folder: Path) -> list[Row]:
    existing = _existing_parent(folder)
    mount = mount_of(existing)
    file_system = f" ({mount.file_system})" if mount else ""
    return [("outputs", f"{folder.resolve()}: {shutil.disk_usage(existing).free / 2**30:,.1f} GiB free{file_system}")]


def check_outputs(folder: Path) -> Finding | None:
    if os.access(_existing_parent(folder), os.W_OK):
        return None
    what = f"{folder.resolve()} can't be written to"
    return Finding(what, "start in another folder, or give training another --output_dir", fatal=True)


def _unusable(path: Path) -> str | None:
    if not path.exists():
        return "no such folder"
    try:
        next(iter(path.iterdir()), None)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _existing_parent(folder: Path) -> Path:
    """The folder itself, or the innermost parent that exists."""
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())


def _mounts() -> Iterator[Mount]:
    try:
        lines = _MOUNT_TABLE.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        yield Mount(Path(_unescaped(before.split()[4])), after.split()[0])


def _unescaped(text: str) -> str:
    """The mount table has spaces in names as octal escapes."""
    return re.sub(r"\\(\d{3})", lambda escape: chr(int(escape[1], 8)), text)
