"""What this machine adds: GPUs, data, disk space and the way to rank 0."""

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from lightning_app.doctor import findings, network
from lightning_app.doctor.findings import Diagnosis, Finding
from lightning_app.doctor.report import Row, Section

_OUTPUTS = Path("outputs")  # --output_dir of a training to which nothing else was said


@dataclass(frozen=True)
class MachineReport:
    """What this machine adds to a diagnosis.

    Args:
        backend: Of torch.distributed.
        devices: Of each node, as a training takes them that hasn't been told.
        sections: Of the report.
        contradictions: Between the machine and what it is to do.
    """

    backend: str
    devices: int
    sections: list[Section]
    contradictions: list[Finding]


def check_machine(diagnosis: Diagnosis, wanted: int | None, data_path: Path | None) -> MachineReport:
    """``wanted``: devices of the training on each node, None where nobody has told."""
    gpus, launch = read_gpus(), diagnosis.launch
    machine = gpu_rows(gpus)
    found = [check_gpu_count(gpus, wanted), *_storage(data_path), findings.check_token(os.environ, _now())]
    if launch is not None:
        route = network.route_to_rank_zero(launch)
        machine += network.route_rows(launch, route)
        several = launch.world_size * (wanted or 1) > 1
        found += network.connectivity_problems(os.environ, launch, route, gpus.backend, several)
    machine += data_rows(data_path) if data_path else []
    machine += output_rows(_OUTPUTS)
    found.append(_mpi4py())
    sections = [Section("This machine", machine)]
    return MachineReport(gpus.backend, max(1, len(gpus.names)), sections, [each for each in found if each])


def _storage(data_path: Path | None) -> Iterator[Finding | None]:
    if data_path:
        yield check_data(data_path)
    yield check_outputs(_OUTPUTS)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _mpi4py() -> Finding | None:
    """Lightning #20049: a Trainer that isn't told better starts MPI then, and takes MPI's processes for its own."""
    if importlib.util.find_spec("mpi4py") is None:
        return None
    what = "mpi4py is installed: other Trainers would choose MPIEnvironment, and this one doesn't"
    return Finding(what, "nothing has to be done for this training")


@dataclass(frozen=True)
class Gpus:
    """``names`` has a GPU each, with its memory; ``versions`` are those of CUDA and NCCL."""

    names: tuple[str, ...]
    versions: str

    @property
    def backend(self) -> str:
        return "nccl" if self.names else "gloo"


def read_gpus() -> Gpus:
    """As this process sees them (CUDA_VISIBLE_DEVICES)."""
    import torch  # takes a second or more, which a dump and --help don't need

    if not torch.cuda.is_available():
        return Gpus((), "")
    properties = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    names = tuple(f"{each.name}, {each.total_memory / 2**30:.0f} GiB" for each in properties)
    nccl = ".".join(str(part) for part in torch.cuda.nccl.version())  # type: ignore[no-untyped-call]
    return Gpus(names, f"CUDA {torch.version.cuda}, NCCL {nccl}")


def gpu_rows(gpus: Gpus) -> list[Row]:
    if not gpus.names:
        return [("GPUs", "no GPU: gloo on the CPU")]
    numbered = [(f"GPU {number}", name) for number, name in enumerate(gpus.names)]
    return [("GPUs", f"{len(gpus.names)}; {gpus.versions}"), *numbered]


def check_gpu_count(gpus: Gpus, wanted: int | None) -> Finding | None:
    """``wanted``: devices of the training on this node."""
    if not gpus.names or wanted is None or wanted <= len(gpus.names):
        return None
    what = f"training is to use {wanted} devices on each node, and this process sees {len(gpus.names)} GPUs"
    remedy = f"give --trainer.devices {len(gpus.names)}, or look at CUDA_VISIBLE_DEVICES"
    return Finding(what, remedy, fatal=True)


_MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mount:
    """Where a file system is in the tree, and of which type it is: ext4, fuse.blobfuse2, nfs."""

    point: Path
    kind: str


def mount_of(path: Path) -> Mount | None:
    """None where the system doesn't tell."""
    resolved = path.resolve()
    around = [mount for mount in _mounts() if resolved.is_relative_to(mount.point)]
    # of several at the same point the last one hides the others
    return max(reversed(around), key=lambda mount: len(mount.point.parts), default=None)


def data_rows(path: Path) -> list[Row]:
    if _unusable(path):
        return [("data", f"{path}: {_unusable(path)}")]
    mount = mount_of(path)
    if mount is None:
        return [("data", f"{path}, readable")]
    place = "a mount" if mount.point == path.resolve() else f"on {mount.point}"
    return [("data", f"{path}, readable, {place} ({mount.kind})")]


def check_data(path: Path) -> Finding | None:
    """Training has no fallback for data that it was told to use."""
    reason = _unusable(path)
    return Finding(f"--data_path {path}: {reason}", "give the folder of the data", fatal=True) if reason else None


def output_rows(folder: Path) -> list[Row]:
    there = _nearest(folder)
    mount = mount_of(there)
    kind = f" ({mount.kind})" if mount else ""
    return [("outputs", f"{folder.resolve()}: {shutil.disk_usage(there).free / 2**30:,.1f} GiB free{kind}")]


def check_outputs(folder: Path) -> Finding | None:
    if os.access(_nearest(folder), os.W_OK):
        return None
    what = f"{folder.resolve()} can't be written to"
    return Finding(what, "start elsewhere, or give training another --output_dir", fatal=True)


def _unusable(path: Path) -> str | None:
    if not path.exists():
        return "no such folder"
    try:
        next(iter(path.iterdir()), None)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return None


def _nearest(folder: Path) -> Path:
    """The folder, or what there is of the way to it."""
    return next(each for each in (folder.resolve(), *folder.resolve().parents) if each.exists())


def _mounts() -> Iterator[Mount]:
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        yield Mount(Path(_unescaped(before.split()[4])), after.split()[0])


def _unescaped(text: str) -> str:
    """Spaces in names are octal there."""
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), text)
