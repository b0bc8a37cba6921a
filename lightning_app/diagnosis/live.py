"""The process that asks, on the machine that trains."""

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from lightning_app.diagnosis import devices, reach, run, storage
from lightning_app.diagnosis.contradiction import Contradiction
from lightning_app.diagnosis.contradictions import Diagnosis
from lightning_app.diagnosis.report import Section

_OUTPUTS = Path("outputs")  # --output_dir of a training to which nothing else was said


@dataclass(frozen=True)
class Live:
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
    contradictions: list[Contradiction]


def look(diagnosis: Diagnosis, wanted: int | None, data_path: Path | None) -> Live:
    """``wanted``: devices of the training on each node, None where nobody has told."""
    gpus, launch = devices.read_gpus(), diagnosis.launch
    machine = devices.gpu_rows(gpus)
    found = [devices.too_few(gpus, wanted), *_storage(data_path), run.expired_token(os.environ, _now())]
    if launch is not None:
        route = reach.route_of(launch)
        machine += reach.route_rows(launch, route)
        several = launch.world_size * (wanted or 1) > 1
        found += reach.hindrances(os.environ, launch, route, gpus.backend, several)
    machine += storage.data_rows(data_path) if data_path else []
    machine += storage.output_rows(_OUTPUTS)
    found.append(_mpi4py())
    sections = [Section("This machine", machine)]
    return Live(gpus.backend, max(1, len(gpus.names)), sections, [each for each in found if each])


def _storage(data_path: Path | None) -> Iterator[Contradiction | None]:
    if data_path:
        yield storage.unusable_data(data_path)
    yield storage.unusable_outputs(_OUTPUTS)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _mpi4py() -> Contradiction | None:
    """Lightning #20049: a Trainer that isn't told better starts MPI then, and takes MPI's processes for its own."""
    if importlib.util.find_spec("mpi4py") is None:
        return None
    what = "mpi4py is installed: other Trainers would choose MPIEnvironment, and this one doesn't"
    return Contradiction(what, "nothing has to be done for this training")
